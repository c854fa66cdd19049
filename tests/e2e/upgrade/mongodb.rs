//! A MongoDB is brought to another version. The server in its place here heeds no roles, so that nobody is kept from writing
//! meanwhile is not seen.

use serde_json::{Value, json};

use super::{PUBLISHED, World, phase, revert, upgrade, versions};
use crate::support::docker::preview;
use crate::support::eventually;

impl World {
    fn mongosh(&self, script: &str) -> String {
        let command = ["mongosh", "--quiet", "--norc", &self.url, "--eval", script];
        preview(&self.server.test, &self.server.network(), "mongo:8.0", &command).unwrap()
    }
}

const FILL: &str = r#"
    db.kinds.insertMany([
      {'10': Double(1), '2': Long('9007199254740993'), n: null, i: Int32(7), s: 'zażółć 😀', deep: {a: [1, 'two', {}], b: true}},
      {id: ObjectId(), bin: BinData(0, 'AP8n'), uuid: UUID(), at: ISODate('2026-02-03T04:05:06.789Z'), re: /^a.*$/i,
       stamp: Timestamp(5, 6), d: Double('-0.5')},
    ]);
    db.many.insertMany(Array.from({length: 12000}, (_, n) => ({n, at: n % 7, text: 'x'.repeat(500)})));
    db.many.createIndex({at: 1, n: -1}, {name: 'by both', unique: true});
    db.kinds.createIndex({i: 1});
    db.createCollection('none');"#;

const LOOK: &str = "const sorted = (name) => db.getCollection(name).find().sort({_id: 1}).toArray();
    print(EJSON.stringify([db.getCollectionNames().sort(), sorted('kinds'), db.many.getIndexes(), db.kinds.getIndexes(),
      db.many.countDocuments(), db.many.find().sort({n: 1}).limit(50).toArray()], {relaxed: false}))";

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_goes_over_with_each_document_as_it_was_and_back() {
    let mut world = World::new("MONGODB", "7.0", "DEV", &[PUBLISHED]).await;
    let id = world.id.clone();
    world.mongosh(FILL);
    let (before, service) = (world.mongosh(LOOK), world.client().service(&id).await);
    assert!(before.contains("by both") && before.contains("9007199254740993"), "{before}");
    assert_eq!(versions(&world.client(), &id).await["upgradesTo"], json!(["8.0"]));
    let mut events = world.client().events(None).await;
    assert!(upgrade(&world.client(), &id, "8.0").await["errors"].is_null());
    assert!(phase(&mut events, "COPYING_DATA").await);
    world.server.kill();
    world.server.restart().await;
    let after = world.brought_to("8.0").await;
    for same in ["hostname", "port", "externalHost", "externalPort"] {
        assert_eq!(after[same], service[same], "{same}");
    }
    assert_eq!(world.mongosh(LOOK), before);
    assert!(world.mongosh("db.version()").starts_with("8.0"));
    assert_eq!(world.things(), (1, 2));

    world.mongosh("db.kinds.insertOne({later: 1})");
    let answer = revert(&world.client(), &id).await;
    let message = answer["data"]["revertService"]["event"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(message.contains("from version 8.0 to 7.0"), "{message}");
    assert_eq!(world.settled().await["version"], "7.0");
    assert_eq!(world.mongosh(LOOK), before);
    world.mongosh("db.kinds.insertOne({taken: 1})");
    eventually("nothing is wrong with it", async || {
        (world.client().service(&id).await["error"] == Value::Null).then_some(())
    })
    .await;
}
