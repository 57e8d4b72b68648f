// Makes src/api/types.ts from the schemas of the API document, so that the dashboard cannot drift from the contract.
// With --check it only says whether the file is what the document yields. Not here: what operations there are (client.ts).
import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';

const DOCUMENT = new URL('../../src/admin/openapi.yaml', import.meta.url);
const TYPES = new URL('../src/api/types.ts', import.meta.url);

const nameOf = (ref) => ref.replace('#/components/schemas/', '');

/** The TypeScript type of one schema, as text. */
function typeOf(schema, depth) {
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.oneOf) return schema.oneOf.map((one) => typeOf(one, depth)).join(' | ');
  const own = ownType(schema, depth);
  if (!schema.allOf) return own ?? 'unknown';
  return [...schema.allOf.map((one) => typeOf(one, depth)), ...(own && schema.properties ? [own] : [])].join(' & ');
}

function ownType(schema, depth) {
  if (!schema.type) return schema.properties ? objectType(schema, depth) : undefined;
  const types = [schema.type].flat().map((type) => {
    switch (type) {
      case 'integer': return 'number';
      case 'array': return arrayType(schema, depth);
      case 'object': return objectType(schema, depth);
      default: return type;
    }
  });
  return types.join(' | ');
}

function arrayType(schema, depth) {
  const item = schema.items ? typeOf(schema.items, depth) : 'unknown';
  return /[ {]/.test(item) ? `Array<${item}>` : `${item}[]`;
}

function objectType(schema, depth) {
  const required = new Set(schema.required ?? []);
  const indent = '  '.repeat(depth + 1);
  const lines = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const note = property.description ? `${indent}/** ${property.description.trim()} */\n` : '';
    return `${note}${indent}${name}${required.has(name) ? '' : '?'}: ${typeOf(property, depth + 1)};`;
  });
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`;
}

const schemas = parse(readFileSync(DOCUMENT, 'utf8')).components.schemas;
const made = [
  '// Made from src/admin/openapi.yaml by `npm run types`. Do not edit.\n',
  ...Object.entries(schemas).map(([name, schema]) => {
    const note = schema.description ? `/** ${schema.description.trim().replaceAll('\n', '\n * ')} */\n` : '';
    return `${note}export type ${name} = ${typeOf(schema, 0)};\n`;
  }),
].join('\n');

if (process.argv.includes('--check')) {
  if (readFileSync(TYPES, 'utf8') !== made) {
    console.error('ui/src/api/types.ts is not what src/admin/openapi.yaml yields: run `npm run types` in ui/');
    process.exit(1);
  }
} else {
  writeFileSync(TYPES, made);
}
