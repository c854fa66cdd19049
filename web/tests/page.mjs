// The dashboard in a browser's tab of its own.

import { browser, origin } from "./browser.mjs";
import { operation } from "./played.mjs";

export class Dashboard {
  /** @param {string} [token] */
  static async open(token, address = "/?project=demo") {
    const dashboard = new Dashboard(await browser.newPage());
    await dashboard.page.goto(origin + address);
    if (token) await dashboard.signIn(token);
    return dashboard;
  }

  /** What it sent over its socket and got, in this order. @type {{ sent: boolean, message: any }[]} */
  frames = [];
  /** The operations that it sent by themselves. @type {string[]} */
  operations = [];

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    page.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => this.frames.push({ sent: true, message: JSON.parse(String(payload)) }));
      socket.on("framereceived", ({ payload }) => this.frames.push({ sent: false, message: JSON.parse(String(payload)) }));
    });
    page.on("request", (request) => {
      if (request.url().endsWith("/graphql")) this.operations.push(operation(request.postDataJSON().query).name);
    });
  }

  /** @param {string} token */
  async signIn(token) {
    await this.page.getByLabel("Token").fill(token);
    await this.button("Show the services").click();
  }

  /** @param {string | RegExp} name */
  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** @param {string} name */
  row(name) {
    return this.page.locator(`[data-service="${name}"]`);
  }

  /** @param {string | RegExp} text */
  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  /** What a screen reader says is this, sooner or later. @param {string} text */
  async says(text) {
    await this.page.getByRole("status").filter({ hasText: text }).waitFor({ state: "attached" });
  }

  /** @param {string} name @param {string} state */
  async isListed(name, state) {
    await this.row(name).getByText(state, { exact: true }).waitFor();
  }

  /** Does something to a service by its menu in the list, and means it. @param {string} name @param {"Start" | "Stop" | "Restart"} action */
  async act(name, action) {
    await this.button(`Actions for ${name}`).click();
    await this.page.getByRole("menuitem", { name: action }).click();
    if (action !== "Start") await this.confirm(action);
  }

  /** @param {string} action */
  async confirm(action) {
    await this.page.getByRole("dialog").getByRole("button", { name: action, exact: true }).click();
    await this.page.getByRole("dialog").waitFor({ state: "detached" });
  }

  /** Nothing is being done about a service that is shown, and it is well. */
  async isHealthy() {
    await this.page.getByText("Healthy", { exact: true }).first().waitFor();
  }

  /** Whoever works with the keyboard is still somewhere. */
  async keepsFocus() {
    await this.page.waitForFunction(() => document.activeElement !== document.body);
  }

  /** @param {string} name */
  async tab(name) {
    await this.page.getByRole("tab", { name }).click();
  }

  /** @param {string} name */
  async show(name) {
    await this.row(name).getByRole("link", { name }).click();
    await this.page.getByRole("heading", { name }).waitFor();
  }
}
