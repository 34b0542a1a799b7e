// What the hub made of it, read over REST.
import { randomUUID } from 'node:crypto';

const api = `http://${process.env.HUB_API_ADDR ?? '127.0.0.1:8080'}/api/v1`;
const patience = 15_000;

const [host, port] = (process.env.HUB_MLLP_ADDR ?? '127.0.0.1:2575').split(':');
export const mllp = { host, port: Number(port) };

/** A number that no run before has used. */
export const unique = (prefix) => prefix + randomUUID().slice(0, 8).toUpperCase();

/** ORU^R01 with one glucose. */
export const oru = (control, patient, value) =>
  [
    `MSH|^~\\&|ANALYZER|LAB|HUB|HOSP|20260301101500||ORU^R01^ORU_R01|${control}|P|2.5.1`,
    `PID|1||${patient}^^^HOSP^MR||Rao^Sita||19800517|F`,
    `OBR|1|PL${control}|FI${control}|CHEM^Chemistry^L|||20260301100500||||||||||||||||||F`,
    `OBX|1|NM|GLU^Glucose^L||${value}|mg/dL|||||F`,
  ].join('\r');

async function call(path, token, body) {
  const answer = await fetch(api + path, {
    method: body ? 'POST' : 'GET',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** The results of a patient, once there are so many. */
export async function results(patient, count) {
  const { access_token } = await call('/auth/login', null, { username: 'admin', password: process.env.HUB_PASSWORD });
  const began = Date.now();
  for (;;) {
    const { items } = await call(`/results?limit=500&patient_identifier=${patient}`, access_token);
    if (items.length === count) return items;
    if (items.length > count || Date.now() - began > patience) throw new Error(`${items.length} results of ${count}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
