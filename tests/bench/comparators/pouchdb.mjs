// PouchDB (npm: pouchdb-core, express-pouchdb): one side serves its database over HTTP, the
// other, empty at first, replicates from it. The connections of the server count their own TCP payload.
// Reads {readings, changed, extra} as JSON, prints {figure: bytes} as JSON.
import { readFileSync } from "node:fs";
import express from "express";
import serve from "express-pouchdb";
import PouchDB from "pouchdb-core";
import http from "pouchdb-adapter-http";
import memory from "pouchdb-adapter-memory";
import mapreduce from "pouchdb-mapreduce";
import replication from "pouchdb-replication";

const { readings, changed, extra } = JSON.parse(readFileSync(0, "utf8"));
PouchDB.plugin(memory).plugin(http).plugin(replication).plugin(mapreduce);
const Memory = PouchDB.defaults({ adapter: "memory" });

const app = express();
app.use("/", serve(Memory, { mode: "minimumForPouchDB", inMemoryConfig: true, logPath: "/dev/null" }));
const server = app.listen(0, "127.0.0.1");
await new Promise((resolve) => server.on("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/source`;

let total = 0;
let open = 0;
server.on("connection", (socket) => {
  open++;
  socket.on("close", () => {
    total += socket.bytesRead + socket.bytesWritten;
    open--;
  });
});

async function replicate(options = {}) {
  const before = total;
  await copy.replicate.from(new PouchDB(url), options);
  server.closeIdleConnections();
  while (open) await new Promise((resolve) => setTimeout(resolve, 10));
  return total - before;
}

async function put(db, entries) {
  for (const entry of entries) {
    const old = await db.get(entry._id).catch(() => ({}));
    await db.put({ ...entry, _rev: old._rev });
  }
}

const source = new Memory("source");
const copy = new Memory("copy");
await source.bulkDocs(readings);
const figures = { full_copy_bytes: await replicate() };
figures.idle_reconnect_bytes = await replicate();
await put(source, changed);
figures.ten_changed_bytes = await replicate();
await put(source, extra);
figures.no_shared_history_bytes = await replicate({ checkpoint: false, since: 0 });
const { doc_count: count } = await copy.info();
if (count !== readings.length + extra.length) throw new Error("not in sync");
console.log(JSON.stringify(figures));
process.exit(0);
