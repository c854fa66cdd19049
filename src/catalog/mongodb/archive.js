// Run by mongosh: writes and reads a database as an archive of mongodump's (mongo-tools, common/archive/spec.md). Documents are
// passed on as the bytes that they are.
"use strict";

const fs = require("fs");
const net = require("net");

const MAGIC = 0x8199e26d;
const END = 0xffffffff;
/// How much is written or inserted at once, in bytes.
const CHUNK = 1 << 20;

const number = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/// A BSON document of text, booleans, bytes, and whole numbers of 32 bits or, where they are big integers, of 64.
const bson = (fields) => {
  const parts = Object.entries(fields).map(([name, value]) => {
    const [type, bytes] = {
      string: () => [2, Buffer.concat([number(Buffer.byteLength(value) + 1), Buffer.from(value + "\0")])],
      boolean: () => [8, Buffer.from([Number(value)])],
      object: () => [5, Buffer.concat([number(value.length), Buffer.alloc(1), value])],
      number: () => [16, number(value)],
      bigint: () => [18, Buffer.from(new BigInt64Array([value]).buffer)],
    }[typeof value]();
    return Buffer.concat([Buffer.from([type]), Buffer.from(name + "\0"), bytes]);
  });
  const body = Buffer.concat(parts);
  return Buffer.concat([number(body.length + 5), body, Buffer.alloc(1)]);
};

/// What a document says, but for what it says of kinds that nobody here asks for.
const fields = (bytes) => {
  const said = {};
  const sizes = { 1: 8, 2: 0, 3: 0, 4: 0, 5: 5, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8 };
  for (let at = 4; bytes[at] !== 0; ) {
    const type = bytes[at];
    const name_ends = bytes.indexOf(0, at + 1);
    const name = bytes.toString("utf8", at + 1, name_ends);
    at = name_ends + 1;
    if (sizes[type] === undefined) throw new Error(`a value of the type ${type} is not expected here`);
    if (type === 1) said[name] = bytes.readDoubleLE(at);
    if (type === 2) said[name] = bytes.toString("utf8", at + 4, at + 3 + bytes.readInt32LE(at));
    if (type === 3 || type === 4) said[name] = bytes.subarray(at, at + bytes.readInt32LE(at));
    if (type === 5) said[name] = bytes.subarray(at + 5, at + 5 + bytes.readInt32LE(at));
    if (type === 8) said[name] = bytes[at] === 1;
    if (type === 16) said[name] = bytes.readInt32LE(at);
    if (type === 18) said[name] = bytes.readBigInt64LE(at);
    if (type === 2) at += 4 + bytes.readInt32LE(at);
    if (type === 3 || type === 4 || type === 5) at += bytes.readInt32LE(at);
    at += sizes[type];
  }
  return said;
};

/// CRC-64 by ECMA-182's polynomial, reflected, as Go's crc64 has it.
const HIGH = new Uint32Array(256);
const LOW = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? 0xc96c5795d7870f42n : 0n);
  HIGH[byte] = Number(crc >> 32n);
  LOW[byte] = Number(crc & 0xffffffffn);
}
class Sum {
  high = -1;
  low = -1;
  add(bytes) {
    let { high, low } = this;
    for (let at = 0; at < bytes.length; at++) {
      const of = (low ^ bytes[at]) & 255;
      low = ((low >>> 8) | (high << 24)) ^ LOW[of];
      high = (high >>> 8) ^ HIGH[of];
    }
    this.high = high;
    this.low = low;
  }
  get value() {
    return BigInt.asIntN(64, (BigInt(~this.high >>> 0) << 32n) | BigInt(~this.low >>> 0));
  }
}

class Output {
  parts = [];
  size = 0;
  constructor(path) {
    this.file = fs.openSync(path, "w");
  }
  add(bytes) {
    this.parts.push(bytes);
    this.size += bytes.length;
    if (this.size >= CHUNK) this.flush();
  }
  flush() {
    const all = Buffer.concat(this.parts);
    for (let at = 0; at < all.length; ) at += fs.writeSync(this.file, all, at);
    this.parts = [];
    this.size = 0;
  }
}

class Input {
  bytes = Buffer.alloc(0);
  at = 0;
  constructor(path) {
    this.file = fs.openSync(path, "r");
  }
  /// The next bytes, which stay as they are.
  take(length) {
    if (this.bytes.length - this.at < length) {
      const parts = [this.bytes.subarray(this.at)];
      for (let size = parts[0].length; size < length; ) {
        const more = Buffer.allocUnsafe(Math.max(CHUNK, length - size));
        const read = fs.readSync(this.file, more, 0, more.length);
        if (read === 0) throw new Error("the archive ends too early");
        parts.push(more.subarray(0, read));
        size += read;
      }
      this.bytes = Buffer.concat(parts);
      this.at = 0;
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  /// The next document; null where there is the end of several.
  document() {
    const head = Buffer.from(this.take(4));
    const length = head.readUInt32LE();
    if (length === END) return null;
    if (length < 5 || length > 64 << 20) throw new Error("the archive is broken");
    return Buffer.concat([head, this.take(length - 4)]);
  }
  isOver() {
    return this.at === this.bytes.length && fs.readSync(this.file, (this.bytes = Buffer.alloc(1)), (this.at = 0), 1) === 0;
  }
}

/// The documents of a collection, each as its bytes.
const documents = async function* (there, collection) {
  const cursor = await there.getCollection(collection).find({}, {}, { raw: true, noCursorTimeout: true });
  for (let document; (document = await cursor.tryNext()) !== null; ) yield document;
};

/// Collections with how they were made, first those that hold data. What a server keeps for others comes with those.
const collections = async (there) => {
  const all = (await there.getCollectionInfos()).filter(({ name }) => !/^system\.(?!js$)/.test(name));
  all.sort((a, b) => (a.type === "view") - (b.type === "view") || (a.name < b.name ? -1 : 1));
  return all;
};

const isHeld = ({ type }) => type !== "view";
const heldIn = ({ type, name }) => (type === "timeseries" ? `system.buckets.${name}` : name);

exports.dump = async (server, database, path, EJSON) => {
  const there = server.getDB(database);
  const output = new Output(path);
  const version = await there.version();
  const all = await collections(there);
  console.error(`fact:server version=${version}`);
  output.add(number(MAGIC));
  output.add(bson({ concurrent_collections: 1, version: "0.1", server_version: version, tool_version: "project-services" }));
  for (const { name, type, options } of all) {
    const indexes = type === "view" ? [] : await there.getCollection(name).getIndexes();
    const metadata = EJSON.stringify({ options, indexes, collectionName: name, type }, { relaxed: false });
    output.add(bson({ db: database, collection: name, metadata, size: 0, type }));
  }
  output.add(number(END));
  for (const collection of all.filter(isHeld).map(heldIn)) {
    const head = (EOF, CRC) => output.add(bson({ db: database, collection, EOF, CRC }));
    const sum = new Sum();
    let isEmpty = true;
    for await (const document of documents(there, collection)) {
      if (isEmpty) head(false, 0n);
      isEmpty = false;
      sum.add(document);
      output.add(document);
    }
    if (!isEmpty) output.add(number(END));
    head(true, sum.value);
    output.add(number(END));
  }
  output.flush();
};

/// Inserts documents as they are, which no driver does: by OP_MSG with a sequence of them (MongoDB manual, "Wire Protocol").
class Insertion {
  heard = Buffer.alloc(0);
  waiting = [];
  size = 0;
  constructor(port) {
    this.socket = net.connect(port, "127.0.0.1");
    this.socket.on("data", (more) => this.hear(more));
    this.socket.on("error", (error) => this.fail?.(error));
    this.socket.on("close", () => this.fail?.(new Error("the server hung up")));
  }
  hear(more) {
    this.heard = Buffer.concat([this.heard, more]);
    if (this.heard.length < 4 || this.heard.length < this.heard.readInt32LE()) return;
    const said = fields(this.heard.subarray(16 + 5));
    const { ok, errmsg, writeErrors } = said;
    this.heard = Buffer.alloc(0);
    if (ok === 1 && writeErrors === undefined) this.done(said);
    else this.fail(new Error(errmsg ?? `a document was refused: ${writeErrors?.toString("latin1").replace(/[^ -~]+/g, " ")}`));
  }
  /// Says a command, with what follows it, and gives what is said in return.
  say(command, ...rest) {
    const body = [number(0), Buffer.from([0]), bson(command), ...rest];
    const size = body.reduce((sum, part) => sum + part.length, 16);
    return new Promise((done, fail) => {
      Object.assign(this, { done, fail });
      this.socket.write(Buffer.concat([number(size), number(1), number(0), number(2013), ...body]));
    });
  }
  async add(database, collection, document) {
    this.waiting.push(document);
    this.size += document.length;
    if (this.size >= CHUNK || this.waiting.length === 10000) await this.flush(database, collection);
  }
  async flush(database, collection) {
    if (this.waiting.length === 0) return;
    const name = Buffer.from("documents\0");
    const head = [Buffer.from([1]), number(this.size + 4 + name.length), name];
    const what = { insert: collection, ordered: true, bypassDocumentValidation: true, $db: database };
    await this.say(what, ...head, ...this.waiting);
    [this.waiting, this.size] = [[], 0];
  }
  close() {
    this.fail = undefined;
    this.socket.destroy();
  }
}

const command = async (there, what) => {
  const { ok, errmsg } = await there.runCommand(what);
  if (ok !== 1) throw new Error(errmsg);
};

/// Makes the indexes of a collection that it was not made with. A server makes them of its own version.
const index = async (there, name, indexes) => {
  const others = indexes.filter((one) => one.name !== "_id_" && !one.clustered).map(({ v, ...index }) => index);
  if (others.length > 0) await command(there, { createIndexes: name, indexes: others });
};

/// The server at `port` asks nobody who he is, and has none of it.
exports.load = async (server, port, path, EJSON) => {
  const input = new Input(path);
  if (input.take(4).readUInt32LE() !== MAGIC) throw new Error("this is no archive");
  input.document();
  const made = [];
  for (let document; (document = input.document()) !== null; ) {
    const { db, collection, metadata, type } = fields(document);
    made.push({ there: server.getDB(db), name: collection, type, ...EJSON.parse(metadata, { relaxed: false }) });
  }
  const make = ({ there, name, options }) => command(there, { create: name, ...options });
  for (const one of made.filter(isHeld)) await make(one);
  const insertion = new Insertion(port);
  const sums = {};
  while (!input.isOver()) {
    const { db, collection, EOF, CRC } = fields(input.document());
    const sum = (sums[`${db}.${collection}`] ??= new Sum());
    for (let document; (document = input.document()) !== null; ) {
      sum.add(document);
      await insertion.add(db, collection, document);
    }
    await insertion.flush(db, collection);
    if (EOF && sum.value !== CRC) throw new Error(`${collection} is not as it was written`);
    if (EOF) sums[`${db}.${collection}`] = null;
  }
  insertion.close();
  const whole = made.filter(isHeld).every((one) => sums[`${one.there.getName()}.${heldIn(one)}`] === null);
  if (!whole) throw new Error("a collection is missing");
  for (const { there, name, indexes } of made) await index(there, name, indexes);
  for (const view of made.filter((one) => !isHeld(one))) await make(view);
};

/// Has the server read all of a database, and tells what is in it.
exports.check = async (server, database) => {
  const there = server.getDB(database);
  const all = (await collections(there)).filter(isHeld);
  console.error(`fact:collections of ${database}=${all.length}`);
  const counts = [];
  for (const one of all) {
    const { valid, errors, nrecords } = await there.getCollection(heldIn(one)).validate({ full: true });
    if (!valid) throw new Error(`${one.name} is damaged: ${errors}`);
    counts.push({ ...one, count: Number(nrecords) });
  }
  const told = counts.filter(({ name, type }) => type === "collection" && /^[\w. -]+$/.test(name));
  for (const { name, count } of told.sort((a, b) => b.count - a.count).slice(0, 5)) {
    console.error(`fact:documents of ${database}.${name}=${count}`);
  }
};
