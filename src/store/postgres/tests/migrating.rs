//! One schema, and how it becomes the next.

use super::super::migrate::{MIGRATIONS, MigrateError, SchemaState, migrate, state};
use super::{database, first};

#[tokio::test]
async fn a_schema_is_made_step_by_step_and_once() {
    let Some((database, connection)) = database() else {
        return;
    };
    let mut client = first(&connection).await.unwrap();
    assert_eq!(state(&client).await.unwrap(), SchemaState::None);
    let taken = migrate(&mut client).await.unwrap();
    let all: Vec<_> = MIGRATIONS.iter().collect();
    assert_eq!(taken, all);
    assert_eq!(state(&client).await.unwrap(), SchemaState::Same);
    assert!(migrate(&mut client).await.unwrap().is_empty());
    let steps = database.psql("select version, name from ingate.migration order by version");
    let wanted: Vec<String> = (MIGRATIONS.iter())
        .map(|step| format!("{}|{}", step.version, step.name))
        .collect();
    assert_eq!(steps, wanted.join("\n"));
}

#[tokio::test]
async fn of_several_that_start_at_once_one_migrates() {
    let Some((_database, connection)) = database() else {
        return;
    };
    let pool = connection.pool().unwrap();
    let starts = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { migrate(&mut pool.get().await.unwrap()).await.unwrap().len() })
    });
    let mut taken = 0;
    for start in starts.collect::<Vec<_>>() {
        taken += start.await.unwrap();
    }
    assert_eq!(taken, MIGRATIONS.len());
}

#[tokio::test]
async fn what_a_newer_or_another_program_has_made_is_left_alone() {
    let Some((database, connection)) = database() else {
        return;
    };
    let mut client = first(&connection).await.unwrap();
    migrate(&mut client).await.unwrap();
    database.psql("insert into ingate.migration (version, name) values (4711, 'later')");
    let newer = SchemaState::Newer {
        version: 4711,
        name: "later".to_owned(),
    };
    assert_eq!(state(&client).await.unwrap(), newer);
    let error = migrate(&mut client).await.unwrap_err();
    assert!(matches!(error, MigrateError::Newer { .. }), "{error}");
    assert!(
        error.to_string().contains("version 4711 (later)"),
        "{error}"
    );

    database.psql("delete from ingate.migration where version = 4711");
    database.psql("update ingate.migration set name = 'other' where version = 1");
    let error = migrate(&mut client).await.unwrap_err();
    assert!(matches!(error, MigrateError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("called other"), "{error}");
}

#[tokio::test]
async fn a_user_that_may_not_make_schemas_uses_the_one_that_was_made_for_it() {
    let Some((database, mut connection)) = database() else {
        return;
    };
    let role = format!("plain_{}", database.name());
    database.psql(&format!("create role {role} login"));
    connection.url =
        crate::secret::Secret::new(database.url().replace("//ingate@", &format!("//{role}@")));
    let mut client = first(&connection).await.unwrap();
    let error = migrate(&mut client).await.unwrap_err().to_string();
    assert!(
        error.contains("step 1 (first)") && error.contains("permission denied"),
        "{error}"
    );
    assert_eq!(state(&client).await.unwrap(), SchemaState::None);
    database.psql(&format!("create schema ingate authorization {role}"));
    assert_eq!(migrate(&mut client).await.unwrap().len(), MIGRATIONS.len());
    drop(client);
    database.psql(&format!("drop owned by {role} cascade; drop role {role}"));
}
