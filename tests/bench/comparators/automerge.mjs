// Automerge (npm: @automerge/automerge): a map from id to the reading, synced by its own
// protocol. Reads {readings, changed, authorCount} as JSON, prints {figure: bytes} as JSON.
import { readFileSync } from "node:fs";
import zlib from "node:zlib";
import * as Automerge from "@automerge/automerge";

const { readings, changed, authorCount } = JSON.parse(readFileSync(0, "utf8"));

const BATCH_SIZE = 10; // readings in a change; more in one, and a sync sends them all again

function write(doc, entries) {
  for (let start = 0; start < entries.length; start += BATCH_SIZE) {
    doc = Automerge.change(doc, (draft) => {
      draft.readings ??= {};
      for (const { _id, ...fields } of entries.slice(start, start + BATCH_SIZE)) {
        if (draft.readings[_id]) draft.readings[_id].temp = fields.temp;
        else draft.readings[_id] = fields;
      }
    });
  }
  return doc;
}

// Talk until neither has anything to say, as after a reconnect: what is kept of the other
// side is what Automerge saves of a sync state. Returns the messages.
function sync(pair) {
  const messages = [];
  pair.states = pair.states.map((state) =>
    Automerge.decodeSyncState(Automerge.encodeSyncState(state)));
  for (let spoke = true; spoke;) {
    spoke = false;
    for (const [from, to] of [[0, 1], [1, 0]]) {
      const [state, message] = Automerge.generateSyncMessage(pair.docs[from], pair.states[from]);
      pair.states[from] = state;
      if (!message) continue;
      spoke = true;
      messages.push(message);
      [pair.docs[to], pair.states[to]] =
        Automerge.receiveSyncMessage(pair.docs[to], pair.states[to], message);
    }
  }
  return messages;
}

function newPair(doc) {
  return {
    docs: [doc, Automerge.init()],
    states: [Automerge.initSyncState(), Automerge.initSyncState()],
  };
}

const size = (messages) => messages.reduce((sum, one) => sum + one.length, 0);

const pair = newPair(write(Automerge.init(), readings));
const full = sync(pair);
if (Object.keys(pair.docs[1].readings).length !== readings.length) throw new Error("not in sync");
const figures = {
  full_copy_bytes: size(full),
  full_copy_deflated_bytes: zlib.deflateSync(Buffer.concat(full)).length,
  idle_reconnect_bytes: size(sync(pair)),
};
pair.docs[0] = write(pair.docs[0], changed);
figures.ten_changed_bytes = size(sync(pair));

let many = Automerge.init();
for (let number = 0; number < authorCount; number++) {
  const _id = "a" + String(number).padStart(5, "0");
  many = Automerge.merge(many, write(Automerge.init(), [{ _id, temp: 20.25 }]));
}
const manyPair = newPair(write(many, changed)); // a change that knows all others: one head
sync(manyPair);
figures.idle_reconnect_many_authors_bytes = size(sync(manyPair));
console.log(JSON.stringify(figures));
