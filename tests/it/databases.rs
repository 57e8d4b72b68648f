//! The database server of the tests, and the wire to it that can be cut: they do what the stories rely on.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

use crate::cut::Cut;
use crate::postgres::{Database, Halt, Server, Wanted, or_skip};
use crate::support::{wait_until, wait_within};

/// How long nothing must come from a wire until it is taken for dead.
const SILENCE: Duration = Duration::from_millis(300);

/// The test below that is run as a process of its own, and killed.
const HOLDER: &str = "databases::holds_a_server_until_it_is_killed";

/// Has that test hold a server, and not pass at once.
const HOLD: &str = "INGATE_TEST_HOLD_POSTGRES";

async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

fn with_table(server: &Server) -> Database {
    let database = server.database();
    database.psql("create table t (n int)");
    database
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_databases_that_are_apart() {
    let Some(server) = or_skip(Server::shared()) else {
        return;
    };
    let version: u32 = server.psql("show server_version_num").parse().unwrap();
    assert!(version >= 150_000, "{version}");
    let (one, other) = (with_table(server), server.database());
    assert_ne!(one.name(), other.name());
    let client = connect(&one.url()).await.unwrap();
    client
        .batch_execute("insert into t values (1), (null)")
        .await
        .unwrap();
    assert_eq!(one.psql("select n, 'ä' from t order by n"), "1|ä\n|ä");
    assert_eq!(other.psql("select to_regclass('t')"), "");
    let about = "select pg_encoding_to_char(encoding), datcollate, datctype from pg_database \
                 where datname = current_database()";
    assert_eq!(other.psql(about), "UTF8|C|C");
    let name = one.name().to_owned();
    drop(one);
    let there = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(server.psql(&there), "0", "dropped, whoever was connected");
    assert!(client.simple_query("select 1").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_restarted_with_what_was_committed() {
    let wanted = Wanted {
        settings: vec![("max_connections", "7".to_owned())],
        ..Wanted::default()
    };
    let Some(server) = or_skip(Server::start_as(wanted)) else {
        return;
    };
    assert_eq!(server.psql("show fsync"), "on");
    assert_eq!(server.psql("show max_connections"), "7");
    let database = with_table(&server);
    for (n, halt) in [(1, Halt::Fast), (2, Halt::Immediate)] {
        let client = connect(&database.url()).await.unwrap();
        client
            .execute("insert into t values ($1)", &[&n])
            .await
            .unwrap();
        server.restart(halt).unwrap();
        assert!(client.simple_query("select 1").await.is_err(), "{halt:?}");
        assert_eq!(database.psql("select max(n) from t"), n.to_string());
        let recovered = server.log().contains("was not properly shut down");
        assert_eq!(recovered, halt == Halt::Immediate, "{}", server.log());
    }
    server.stop(Halt::Fast);
    assert!(connect(&database.url()).await.is_err());
    server.start_again().unwrap();
    let client = connect(&database.url()).await.unwrap();
    assert_eq!(database.terminate_backends(), 1);
    wait_until("the connection is ended", async || client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_goes_with_the_process_that_started_it() {
    if or_skip(Server::shared()).is_none() {
        return;
    }
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([HOLDER, "--exact", "--ignored", "--nocapture"])
        .env(HOLD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut told = lines.map_while(Result::ok).filter_map(|line| {
        let (_, told) = line.split_once("holds ")?;
        told.split_once(' ')
            .map(|(addr, folder)| (addr.to_owned(), folder.to_owned()))
    });
    let (addr, folder) = told.next().expect("it says where its server is");
    assert!(TcpStream::connect(&addr).await.is_ok());
    assert!(std::path::Path::new(&folder).is_dir());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_within(
        Duration::from_secs(60),
        "the server and its folder are gone",
        async || {
            TcpStream::connect(&addr).await.is_err() && !std::path::Path::new(&folder).exists()
        },
    )
    .await;
}

#[test]
#[ignore = "run by the test above, which kills it"]
fn holds_a_server_until_it_is_killed() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let server = Server::start().unwrap();
    println!("holds {} {}", server.addr(), server.folder().display());
    std::thread::sleep(Duration::from_secs(600));
}

/// A server that says back what it is told, and how often it was connected to.
async fn parrot() -> (std::net::SocketAddr, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (count, counted) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.send_modify(|count| *count += 1);
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    (addr, counted)
}

/// Whether these bytes come back, and nothing else.
async fn comes_back(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    comes(stream, bytes).await
}

async fn comes(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, bytes);
    Ok(())
}

async fn assert_silent(stream: &mut TcpStream) {
    let read = tokio::time::timeout(SILENCE, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_passes_until_it_is_cut() {
    let (to, connected) = parrot().await;
    let wire = Cut::start(to).await.unwrap();
    let mut stream = TcpStream::connect(wire.addr()).await.unwrap();
    comes_back(&mut stream, &[7; 100_000]).await.unwrap();
    wire.cut();
    assert!(comes_back(&mut stream, b"cut").await.is_err());
    let refused = async {
        let mut stream = TcpStream::connect(wire.addr()).await?;
        comes_back(&mut stream, b"refused").await
    };
    assert!(refused.await.is_err());
    assert_eq!(*connected.borrow(), 1);
    wire.heal();
    let mut stream = TcpStream::connect(wire.addr()).await.unwrap();
    comes_back(&mut stream, b"whole again").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "its end, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_swallows_or_holds_what_is_on_it() {
    let (to, _) = parrot().await;
    let wire = Cut::start(to).await.unwrap();
    let mut lost = TcpStream::connect(wire.addr()).await.unwrap();
    let mut untouched = TcpStream::connect(wire.addr()).await.unwrap();
    for stream in [&mut lost, &mut untouched] {
        comes_back(stream, b"whole").await.unwrap();
    }
    wire.swallow();
    // Much more than buffers hold: whoever writes is not held up either.
    lost.write_all(&vec![1; 20_000_000]).await.unwrap();
    assert_silent(&mut lost).await;
    wire.heal();
    assert!(
        comes_back(&mut lost, b"?").await.is_err(),
        "some is missing"
    );
    comes_back(&mut untouched, b"nothing is missing")
        .await
        .unwrap();

    wire.hold();
    untouched.write_all(b"late").await.unwrap();
    assert_silent(&mut untouched).await;
    wire.heal();
    comes(&mut untouched, b"late").await.unwrap();
    drop(wire);
    assert!(comes_back(&mut untouched, b"?").await.is_err());
}
