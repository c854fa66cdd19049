// A client of the project's Redis, as an application is one.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { within } from "./browser.mjs";
import { ask } from "./platform.mjs";

export class Redis {
  /** The service of this name, by its address outside. @param {string} name */
  static async open(name) {
    const { services } = await ask(`{ services(projectId: "demo") { nodes { id name externalHost externalPort } } }`);
    const { id, externalHost, externalPort } = services.nodes.find((/** @type {{ name: string }} */ service) => service.name === name);
    const reveal = "mutation ($id: ID!) { revealCredentials(input: { id: $id }) { credentials { key value } } }";
    const { credentials } = (await ask(reveal, { id })).revealCredentials;
    const redis = new Redis(connect(externalPort, externalHost));
    await redis.says(`AUTH ${credentials.find((/** @type {{ key: string }} */ { key }) => key === "REDIS_PASSWORD").value}`);
    return redis;
  }

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on("error", () => {});
  }

  /** What it answers to a command. That it ends the connection is no answer. @param {string} command @returns {Promise<string>} */
  async says(command) {
    let text = "";
    const answered = new Promise((resolve, reject) => {
      this.socket.on("data", (data) => {
        text += data;
        const [head = "", length] = /^(?:\$(\d+)|[+:-].*)\r\n/.exec(text) ?? [];
        if (head && text.length >= head.length + (length ? Number(length) + 2 : 0)) resolve(text);
      });
      this.socket.once("close", () => reject(new Error("The connection was lost.")));
    });
    this.socket.write(`${command}\r\n`);
    try {
      await within("Redis", answered);
    } finally {
      this.socket.removeAllListeners("data").removeAllListeners("close");
    }
    assert.ok(!text.startsWith("-"), text);
    return text;
  }

  end() {
    this.socket.destroy();
  }
}
