// A waku-node in a process of its own, driven by lines (see interop_peer.rs).
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set();

/** Ends all processes that were started here. */
export function endAll() {
  for (const child of running) child.kill("SIGKILL");
}
process.on("exit", endAll);

/** A promise with an end: rejects after `ms`, saying what it was waiting for. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits for something that js-waku has no event for. */
export async function until(what, holds) {
  const end = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Peer {
  static async start(program, ...args) {
    const peer = new Peer();
    peer.child = spawn(program, args.map(String), { stdio: ["pipe", "pipe", "inherit"] });
    running.add(peer.child);
    peer.ended = new Promise((resolve) => peer.child.on("exit", resolve));
    peer.ended.then(() => {
      running.delete(peer.child);
      for (const { reject } of peer.waiting) reject(new Error("the peer has ended"));
    });
    peer.lines = [];
    peer.waiting = [];
    createInterface({ input: peer.child.stdout }).on("line", (line) => {
      const value = JSON.parse(line);
      const at = peer.waiting.findIndex((w) => w.wanted(value));
      if (at >= 0) peer.waiting.splice(at, 1)[0].resolve(value);
      else peer.lines.push(value);
    });
    const ready = await peer.next("its address", (l) => l.type === "ready");
    peer.address = ready.address;
    peer.wsAddress = ready.wsAddress;
    peer.id = ready.peerId;
    return peer;
  }

  /** The first line, past or to come, that is wanted. */
  next(what, wanted) {
    const at = this.lines.findIndex(wanted);
    if (at >= 0) return Promise.resolve(this.lines.splice(at, 1)[0]);
    if (!running.has(this.child)) return Promise.reject(new Error("the peer has ended"));
    return within(30_000, what, new Promise((resolve, reject) => this.waiting.push({ wanted, resolve, reject })));
  }

  /** The next message whose payload begins like this. */
  message(prefix) {
    return this.next(`message ${prefix}`, (l) => l.type === "message" && l.payload.startsWith(prefix));
  }

  async ask(line, type) {
    this.child.stdin.write(`${line}\n`);
    const answer = await this.next(`an answer to ${line}`, (l) => l.type === type || l.type === "error");
    if (answer.type === "error") throw new Error(answer.error);
    return answer;
  }

  async stop() {
    this.child.stdin.end();
    return within(10_000, "the end of a peer", this.ended);
  }
}
