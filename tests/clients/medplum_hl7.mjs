// npm @medplum/hl7 4.5.2: sendAndWait on one connection, and five connections at once. (Five at once on one connection is no
// test: the client takes whatever one read brings for one message, and two acknowledgements may come in one read.)
import { Hl7Message } from '@medplum/core';
import { Hl7Client } from '@medplum/hl7';
import { mllp, oru, results, unique } from './look.mjs';

const patient = unique('MED');

async function send(client, value) {
  const control = unique('C');
  const answer = await client.sendAndWait(Hl7Message.parse(oru(control, patient, value)), { timeoutMs: 10_000 });
  const msa = answer.getSegment('MSA');
  if (msa.getField(1).toString() !== 'AA' || msa.getField(2).toString() !== control) throw new Error(answer.toString());
}

const one = new Hl7Client({ ...mllp, keepAlive: true });
await send(one, 101);
await send(one, 102);
await one.close();
await Promise.all(
  [103, 104, 105, 106, 107].map(async (value) => {
    const client = new Hl7Client(mllp);
    await send(client, value);
    await client.close();
  }),
);
const filed = await results(patient, 7);
console.log(`7 AA, five of them on connections at once; GLU ${filed.map((one) => one.raw_value).sort().join(', ')} mg/dL`);
