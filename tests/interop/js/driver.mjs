// The official JavaScript SDK as a client, in either version: `node driver.mjs URL BINDING VERSION WEBHOOK`.
// It does what drivers/plan.py says, in the same words, and prints what came of it as JSON.

import { randomUUID } from "node:crypto";
import {
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  RestTransportFactory,
} from "@a2a-js/sdk/client";
import { Role, taskStateToJSON } from "@a2a-js/sdk";

const STEP = 10_000;
const [url, binding, version, webhook] = process.argv.slice(2);

const wordOf = (state) => taskStateToJSON(state).replace("TASK_STATE_", "").toLowerCase().replaceAll("_", "-");
const textOf = (part) => (part.content?.$case === "text" ? part.content.value : "");
const wordsOf = (message) => (message?.parts ?? []).map(textOf).join("");

function partValue(part) {
  const { $case: kind, value } = part.content;
  return kind === "raw" ? ["raw", Buffer.from(value).toString("base64"), part.filename, part.mediaType] : [kind, value];
}

function taskValue(task) {
  const parts = task.artifacts.flatMap((artifact) => artifact.parts);
  return {
    kind: "task",
    id: task.id,
    state: wordOf(task.status.state),
    said: wordsOf(task.status.message),
    text: parts.map(textOf).join(""),
    parts: parts.map(partValue),
    history: task.history.map(wordsOf),
  };
}

function eventValue({ payload: { $case: kind, value } }) {
  if (kind === "task") return taskValue(value);
  if (kind === "message") return { kind, text: wordsOf(value) };
  if (kind === "artifactUpdate") return { kind: "artifact", text: wordsOf(value.artifact), append: value.append };
  return { kind: "status", state: wordOf(value.status.state), said: wordsOf(value.status.message) };
}

class Absent extends Error {}

class Peer {
  async open() {
    const legacyCompat = { enabled: true };
    const card = await new DefaultAgentCardResolver({ legacyCompat }).resolve(url, ".well-known/agent-card.json");
    card.supportedInterfaces = card.supportedInterfaces.filter(
      (entry) => entry.protocolVersion === version && entry.protocolBinding === binding,
    );
    const transports = [new JsonRpcTransportFactory({ legacyCompat }), new RestTransportFactory({ legacyCompat })];
    const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, { transports });
    this.client = await new ClientFactory(options).createFromAgentCard(card);
    this.shown = card;
  }

  request(text, task, returnImmediately = false) {
    const part = { content: { $case: "text", value: text }, metadata: undefined, filename: "", mediaType: "" };
    const message = {
      messageId: randomUUID(), role: Role.ROLE_USER, parts: [part], taskId: task ?? "", contextId: "",
      metadata: undefined, extensions: [], referenceTaskIds: [],
    };
    const configuration = { acceptedOutputModes: [], taskPushNotificationConfig: undefined, returnImmediately };
    return { tenant: "", message, configuration, metadata: undefined };
  }

  card() {
    const { name, capabilities } = this.shown;
    return { name, version: this.client.protocolVersion, streaming: capabilities.streaming };
  }

  async send(text, task, wait = true) {
    if (!wait && binding === "HTTP+JSON" && version === "0.3") throw new Absent();
    const found = await this.client.sendMessage(this.request(text, task, !wait));
    return "status" in found ? taskValue(found) : { kind: "message", text: wordsOf(found) };
  }

  async *stream(text, task) {
    for await (const event of this.client.sendMessageStream(this.request(text, task))) yield eventValue(event);
  }

  async get(id, historyLength) {
    return taskValue(await this.client.getTask({ tenant: "", id, historyLength }));
  }

  async cancel(id) {
    return taskValue(await this.client.cancelTask({ tenant: "", id, metadata: undefined }));
  }

  async *subscribe(id) {
    for await (const event of this.client.resubscribeTask({ tenant: "", id })) yield eventValue(event);
  }

  async listTasks() {
    if (version !== "1.0") throw new Absent();
    const asked = { tenant: "", contextId: "", status: 0, pageToken: "", statusTimestampAfter: undefined };
    return (await this.client.listTasks(asked)).tasks.map((task) => task.id);
  }

  async createHook(taskId, id, hook, token) {
    const authentication = { scheme: "Bearer", credentials: "credentials" };
    return hookValue(
      await this.client.createTaskPushNotificationConfig({ tenant: "", id, taskId, url: hook, token, authentication }),
    );
  }

  async getHook(taskId, id) {
    return hookValue(await this.client.getTaskPushNotificationConfig({ tenant: "", taskId, id }));
  }

  async listHooks(taskId) {
    const asked = { tenant: "", taskId, pageSize: 0, pageToken: "" };
    return (await this.client.listTaskPushNotificationConfig(asked)).configs.map((config) => config.id);
  }

  async deleteHook(taskId, id) {
    await this.client.deleteTaskPushNotificationConfig({ tenant: "", taskId, id });
    return null;
  }
}

const hookValue = ({ taskId, id, url: hook, token }) => ({ task: taskId, id, url: hook, token });

async function everything(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

async function attempt(call) {
  try {
    return await call;
  } catch (error) {
    return error instanceof Absent ? "absent" : { error: (error.cause ?? error).constructor.name };
  }
}

const next = async (events) => (await events.next()).value;

const scenarios = {
  card: (peer) => peer.card(),
  send: (peer) => peer.send("hello"),
  files: (peer) => peer.send("files"),
  stream: (peer) => everything(peer.stream("tokens")),
  direct: async (peer) => ({ sent: await peer.send("direct"), streamed: await everything(peer.stream("direct")) }),
  get: async (peer) => {
    const task = await peer.send("hello");
    const same = JSON.stringify(await peer.get(task.id)) === JSON.stringify(task);
    return { same, one: (await peer.get(task.id, 1)).history.length };
  },
  cancel: async (peer) => {
    const events = peer.stream("wait c");
    const first = await next(events);
    const answer = await peer.cancel(first.id);
    const rest = await everything(events);
    return {
      answer: answer.state,
      last: rest.at(-1).state,
      again: await attempt(peer.cancel(first.id)),
      unknown: await attempt(peer.cancel("nothing")),
    };
  },
  turns: async (peer) => {
    const asked = await peer.send("ask");
    const done = await peer.send("blue", asked.id);
    const streamed = await everything(peer.stream("ask"));
    const again = await everything(peer.stream("red", streamed[0].id));
    return {
      asked: asked.state, question: asked.said, same: done.id === asked.id, done: done.state, history: done.history,
      paused: streamed.at(-1).state, streamed: again.at(-1).state,
    };
  },
  subscribe: async (peer) => {
    const events = peer.stream("wait s");
    const first = await next(events);
    await next(events);
    const followed = peer.subscribe(first.id);
    const snapshot = await next(followed);
    await peer.send("open s");
    const [rest, same] = await Promise.all([everything(events), everything(followed)]);
    return {
      first: snapshot,
      rest: same,
      same: JSON.stringify(rest) === JSON.stringify(same),
      ended: await attempt(everything(peer.subscribe(first.id))),
    };
  },
  unknown: async (peer) => ({
    get: await attempt(peer.get("nothing")),
    send: await attempt(peer.send("hello", "nothing")),
    stream: await attempt(everything(peer.stream("hello", "nothing"))),
    subscribe: await attempt(everything(peer.subscribe("nothing"))),
  }),
  failed: async (peer) => {
    const task = await peer.send("fail");
    return {
      state: task.state,
      said: task.said,
      streamed: (await everything(peer.stream("fail"))).at(-1).state,
      more: await attempt(peer.send("more", task.id)),
    };
  },
  polling: async (peer) => {
    const task = await attempt(peer.send("wait p", undefined, false));
    if (task === "absent") return task;
    await peer.send("open p");
    let now = await peer.get(task.id);
    while (now.state !== "completed") now = await peer.get(task.id);
    return { before: task.state, after: now.state };
  },
  hooks: async (peer) => {
    const events = peer.stream("wait h");
    const task = (await next(events)).id;
    const found = {
      task,
      made: await peer.createHook(task, "hook", webhook, "a token"),
      gone: (await peer.createHook(task, "gone", `${webhook}/gone`, "a token")).id,
      unknown: await attempt(peer.createHook("nothing", "hook", webhook, "a token")),
      got: await attempt(peer.getHook(task, "hook")),
      listed: await attempt(peer.listHooks(task)),
      deleted: await attempt(peer.deleteHook(task, "gone")),
      after: await attempt(peer.listHooks(task)),
    };
    await peer.send("open h");
    await everything(events);
    return found;
  },
  listing: async (peer) => {
    const task = await peer.send("hello");
    const listed = await attempt(peer.listTasks());
    return listed === "absent" ? listed : { has: listed.includes(task.id) };
  },
};

const peer = new Peer();
await peer.open();
const found = {};
for (const [name, scenario] of Object.entries(scenarios)) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} took too long`)), STEP);
  });
  try {
    found[name] = (await Promise.race([scenario(peer), late])) ?? null;
  } catch (error) {
    found[name] = { crashed: String(error.stack) };
  }
  clearTimeout(timer);
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
