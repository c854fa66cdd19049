
/// What belongs to another version, and to what a user may do. `own` is the name and the password of the sidecar's own user.
const crypto = require("crypto");

/// Logs in by SCRAM-SHA-256 (RFC 5802, RFC 7677), with a name and a password of ASCII letters and digits.
const log_in = async (insertion, [user, password]) => {
  const hmac = (key, text) => crypto.createHmac("sha256", key).update(text).digest();
  const go_on = (conversationId, text) =>
    insertion.say({ saslContinue: 1, conversationId, payload: Buffer.from(text), $db: "admin" });
  const first = `n=${user},r=${crypto.randomBytes(18).toString("base64")}`;
  const start = { saslStart: 1, mechanism: "SCRAM-SHA-256", payload: Buffer.from(`n,,${first}`), $db: "admin" };
  const { conversationId, payload } = await insertion.say(start);
  const [, nonce, salt, rounds] = payload.toString().match(/^r=([^,]+),s=([^,]+),i=(\d+)/);
  const salted = crypto.pbkdf2Sync(password, Buffer.from(salt, "base64"), Number(rounds), 32, "sha256");
  const key = hmac(salted, "Client Key");
  const last = `c=biws,r=${nonce}`;
  const signature = hmac(crypto.createHash("sha256").update(key).digest(), `${first},${payload},${last}`);
  const proof = Buffer.from(key.map((byte, at) => byte ^ signature[at])).toString("base64");
  let { done } = await go_on(conversationId, `${last},p=${proof}`);
  while (!done) ({ done } = await go_on(conversationId, ""));
};

/// Has the server at `port` hold what `from` holds, and nothing else.
exports.copy = async (from, server, port, own, database) => {
  const [there, here] = [from.getDB(database), server.getDB(database)];
  await command(here, { dropDatabase: 1 });
  const all = await collections(there);
  const make = ({ name, options }) => command(here, { create: name, ...options });
  for (const one of all.filter(isHeld)) await make(one);
  const insertion = new Insertion(port);
  await log_in(insertion, own);
  for (const collection of all.filter(isHeld).map(heldIn)) {
    for await (const document of documents(there, collection)) await insertion.add(database, collection, document);
    await insertion.flush(database, collection);
  }
  insertion.close();
  for (const { name } of all.filter(isHeld)) await index(here, name, await there.getCollection(name).getIndexes());
  for (const view of all.filter((one) => !isHeld(one))) await make(view);
};

/// How many documents a collection has, and a sum of their digests in any order.
const sum_of = async (there, collection) => {
  const sums = new Uint32Array(8);
  let count = 0;
  for await (const document of documents(there, collection)) {
    const digest = crypto.createHash("sha256").update(document).digest();
    for (let at = 0; at < sums.length; at++) sums[at] += digest.readUInt32LE(at * 4);
    count++;
  }
  return `${count} documents, ${sums}`;
};

/// Fails where two servers do not hold the same.
exports.compare = async (from, server, database, EJSON) => {
  const names = async (there) => (await collections(there)).map(({ name, type }) => `${type} ${name}`).join(", ");
  const keys = async (there, one) => {
    const indexes = (await there.getCollection(one.name).getIndexes()).map(({ name, key, unique }) => [name, key, !!unique]);
    return `${one.name} ${EJSON.stringify(indexes.sort(([one], [other]) => (one < other ? -1 : 1)))}`;
  };
  const held = async (there, one) => `${one.name} ${await sum_of(there, heldIn(one))}`;
  const [there, here] = [from.getDB(database), server.getDB(database)];
  const same = async (what, ...of) => {
    const [old, now] = [await what(there, ...of), await what(here, ...of)];
    if (old !== now) throw new Error(`The new one does not hold what the old one holds: ${old}; ${now}`);
  };
  await same(names);
  for (const one of (await collections(there)).filter(isHeld)) {
    await same(keys, one);
    await same(held, one);
  }
};

/// Ends what a user is doing, which was permitted when it began.
exports.end = async (server, database, user) => {
  const admin = server.getDB("admin");
  const theirs = { "effectiveUsers.user": user, "effectiveUsers.db": database };
  for (let tries = 0; tries < 100; tries++) {
    const { inprog } = await admin.runCommand({ currentOp: 1, active: true, ...theirs });
    if (inprog.length === 0) return;
    for (const { opid } of inprog) await admin.runCommand({ killOp: 1, op: opid });
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("what it is doing could not be ended");
};
