// An unmodified Segment client for Node: `node segment_client.cjs PACKAGE URL KEY COUNT`, messages named m-0 … m-(COUNT-1).
const [, , folder, host, writeKey, count] = process.argv;
const { Analytics } = require(folder);
const client = new Analytics({ writeKey, host, flushAt: 50, flushInterval: 50, maxRetries: 2 });
let failed = 0;
client.on("error", () => { failed += 1; });
for (let n = 0; n < Number(count); n += 1) {
  client.track({ userId: `u${n % 20}`, event: "Product Viewed", properties: { n }, messageId: `m-${n}` });
}
client.closeAndFlush({ timeout: 30000 }).then(() => { process.stdout.write(JSON.stringify({ failed })); });
