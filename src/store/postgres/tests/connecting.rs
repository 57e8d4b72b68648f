//! Who is connected to, and how.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::super::server::{Server, Wanted, or_skip};
use super::{ConnectError, connection, database, first};
use crate::tls::Authorities;

#[tokio::test]
async fn every_connection_is_set_up_the_same_way() {
    let Some((database, connection)) = database() else {
        return;
    };
    database.psql(&format!(
        "alter database {} set synchronous_commit = off",
        database.name()
    ));
    let client = first(&connection).await.unwrap();
    for (setting, wanted) in [
        ("application_name", "ingate"),
        ("search_path", "ingate"),
        ("synchronous_commit", "on"),
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("default_transaction_isolation", "read committed"),
        ("TimeZone", "UTC"),
        ("jit", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_seqscan", "off"),
    ] {
        let row = client
            .query_one("SELECT current_setting($1)", &[&setting])
            .await;
        assert_eq!(row.unwrap().get::<_, &str>(0), wanted, "{setting}");
    }
}

#[tokio::test]
async fn what_was_chosen_for_commits_stays_unless_it_is_off() {
    let Some((database, connection)) = database() else {
        return;
    };
    database.psql(&format!(
        "alter database {} set synchronous_commit = remote_apply",
        database.name()
    ));
    let client = first(&connection).await.unwrap();
    let row = client.query_one("SHOW synchronous_commit", &[]).await;
    assert_eq!(row.unwrap().get::<_, &str>(0), "remote_apply");
}

#[tokio::test]
async fn an_error_tells_whether_waiting_helps() {
    let Some((database, _)) = database() else {
        return;
    };
    let url = database.url();
    let (base, _) = url.rsplit_once('/').unwrap();
    let error = first(&connection(&format!("{base}/nobody_made_it"))).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("database \"nobody_made_it\" does not exist"),
        "{words}"
    );
    assert!(words.contains("127.0.0.1:"), "{words}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let error = first(&connection(&format!("postgres://me:hunter2@{addr}/x"))).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Away { .. }), "{error:?}");
    let words = format!("{error} {error:?}");
    assert!(
        words.contains("refused") && !words.contains("hunter2"),
        "{words}"
    );

    // Nothing of TLS is set up there.
    let error = first(&connection(&format!("{url}?sslmode=require"))).await;
    let words = error.map(drop).unwrap_err().to_string();
    assert!(words.contains("server does not support TLS"), "{words}");
}

#[tokio::test]
async fn tls_is_spoken_only_with_whom_is_trusted() {
    let Some(shared) = or_skip(Server::shared()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    // The server wants its key to be its own.
    let user = std::fs::metadata(shared.folder()).unwrap();
    chown(&key, Some(user.uid()), Some(user.gid())).unwrap();
    let server = Server::start_as(Wanted {
        fsync: false,
        settings: vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", cert.display().to_string()),
            ("ssl_key_file", key.display().to_string()),
        ],
    })
    .unwrap();
    let database = server.database();
    let trusted = Authorities::from_pem(own.cert.pem().as_bytes()).unwrap();
    let numeric = database.url();
    let named = numeric.replace("127.0.0.1", "localhost");
    for (url, ca, wanted) in [
        (named.clone(), Some(&trusted), Ok(true)),
        (
            format!("{named}?sslmode=verify-full"),
            Some(&trusted),
            Ok(true),
        ),
        (format!("{named}?sslmode=disable"), None, Ok(false)),
        (named.clone(), None, Ok(false)),
        (format!("{named}?sslmode=require"), None, Err("`ca: FILE`")),
        (format!("{named}?sslmode=prefer"), None, Err("`ca: FILE`")),
        // The certificate is for another name.
        (numeric, Some(&trusted), Err("`ca: FILE`")),
    ] {
        let mut connection = connection(&url);
        connection.ca = ca.cloned();
        match (first(&connection).await, wanted) {
            (Ok(client), Ok(secured)) => {
                let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                let row = client.query_one(sql, &[]).await.unwrap();
                assert_eq!(row.get::<_, bool>(0), secured, "{url}");
            }
            (Err(error), Err(words)) => {
                assert!(
                    matches!(error, ConnectError::Refused { .. }),
                    "{url}: {error:?}"
                );
                assert!(error.to_string().contains(words), "{url}: {error}");
            }
            (Ok(_), Err(_)) => panic!("{url}: it was connected to"),
            (Err(error), Ok(_)) => panic!("{url}: {error}"),
        }
    }
}
