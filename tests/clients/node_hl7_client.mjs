// npm node-hl7-client 3.2.0: its own builder and parser; three messages, and a batch of two.
import { Batch, Client, Message } from 'node-hl7-client';
import { mllp, oru, results, unique } from './look.mjs';

const patient = unique('NODE');
const answers = [];
let heard;
const client = new Client({ host: mllp.host });
const link = client.createConnection({ port: mllp.port }, async (response) => {
  answers.push(response.getMessage());
  heard?.();
});
const answered = () =>
  new Promise((done, fail) => {
    heard = done;
    setTimeout(() => fail(new Error('no acknowledgement within 10 s')), 10_000).unref();
  });

for (const value of [101, 102, 103]) {
  const control = unique('C');
  const wait = answered();
  await link.sendMessage(new Message({ text: oru(control, patient, value) }));
  await wait;
  const msa = answers.at(-1);
  if (msa.get('MSA.1').toString() !== 'AA' || msa.get('MSA.2').toString() !== control) throw new Error(msa.toString());
}

const batch = new Batch();
batch.start();
for (const value of [104, 105]) batch.add(new Message({ text: oru(unique('C'), patient, value) }));
batch.end();
const wait = answered();
await link.sendMessage(batch);
await wait;
const code = answers.at(-1).get('MSA.1').toString();
if (code !== 'AA') throw new Error(`batch: ${answers.at(-1)}`);

const filed = await results(patient, 5);
await client.closeAll();
console.log(`3 AA, a batch AA; GLU ${filed.map((one) => one.raw_value).sort().join(', ')} mg/dL`);
process.exit(0);
