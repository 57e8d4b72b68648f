// @ts-check
// A small world behind the stand-in: names, templates, and a toy in the place of the engine. For development of the
// dashboard alone; what it answers is held to the types of the document by the type check.

/** @typedef {import('../src/api/types').DeliveryWithAttempts} Delivery */
/** @typedef {import('../src/api/types').Event} Event */
/** @typedef {import('../src/api/types').EventRow} EventRow */
/** @typedef {import('../src/api/types').Attempt} Attempt */
/** @typedef {import('../src/api/types').Marker} Marker */
/** @typedef {{row: EventRow, text: string, deliveries: Delivery[]}} Stored */

let sequence = 0;

/** An id that sorts by time. @param {number} at */
export function id(at) {
  sequence += 1;
  const time = Math.floor(at).toString(16).padStart(12, '0');
  const tail = ((sequence * 2654435761) % 2 ** 32).toString(16).padStart(8, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, '0').slice(-3)}-8000-0000${tail}`;
}

export const hash = (/** @type {string} */ text) => {
  let value = 2166136261;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 16777619) >>> 0;
  return value.toString(16).padStart(8, '0').repeat(8);
};

export const SOURCES = ['wreno', 'shop'];
export const TARGETS = ['erp', 'audit', 'crm', 'ledger'];

export const ROUTES = [
  { name: 'vendor-updates', from: ['wreno'], match: [{ field: 'type', wanted: 'vendor.*' }, { field: 'body.data.status', wanted: '[active, suspended]' }], template: 'vendor.json.liquid', to: ['erp', 'audit'] },
  { name: 'orders', from: ['shop'], match: [{ field: 'type', wanted: 'order.*' }], template: 'order.json.liquid', to: ['erp'] },
  { name: 'contacts', from: ['shop'], match: [{ field: 'type', wanted: 'contact.*' }], template: null, to: ['crm'] },
  { name: 'invoices', from: ['wreno'], match: [{ field: 'type', wanted: 'invoice.*' }], template: null, to: ['ledger'] },
];

/** @type {Map<string, {text: string, inForce: string}>} */
export const templates = new Map();

/** @param {string} name @param {string} text */
export const deploy = (name, text) => templates.set(name, { text, inForce: text });

deploy('vendor.json.liquid', `{
  "kind": "vendor",
  "id": {{ payload.data.id }},
  "name": {{ payload.data.name }},
  "status": {{ payload.data.status | default: "unknown" }}
}
`);
deploy('order.json.liquid', `{
  "order": {{ payload.order.id }},
  "customer": "{{ payload.order.customer }}",
  "total": {{ payload.order.total }},
  "per_parcel": {{ payload.order.total | divided_by: payload.order.parcels }}
}
`);

/** @param {any} root @param {string} path */
function at(root, path) {
  return path.split('.').reduce((value, key) => (value === null || value === undefined ? undefined : value[key]), root);
}

/** @param {string} file @param {string} text @param {number} index @param {number} length @param {string} message @param {string | null} help @returns {Marker} */
function marker(file, text, index, length, message, help = null) {
  const before = text.slice(0, index).split('\n');
  return { file, line: before.length, column: [...(before.at(-1) ?? '')].length + 1, length, message, help, cause: 'template' };
}

/**
 * The toy: `{{ path | filter: argument }}` in JSON, and no tags.
 * @param {string} file @param {string} text @param {any} payload @param {string} type
 * @returns {{output: string, error: null} | {output: null, error: Marker, compiles: boolean}}
 */
export function render(file, text, payload, type) {
  const unclosed = /\{\{(?:(?!\}\})[^])*$/.exec(text);
  if (unclosed) {
    return { output: null, compiles: false, error: marker(file, text, unclosed.index, 2, 'this output is not closed', 'end it with }}') };
  }
  /** @type {Marker | null} */
  let error = null;
  let inString = false;
  const out = text.replaceAll(/"|\{\{-?\s*([\w.]+)\s*((?:\|[^}]*)?)-?\}\}/g, (whole, path, filters, index) => {
    if (whole === '"') {
      inString = !inString;
      return whole;
    }
    let value = at({ payload, event: { type } }, path);
    for (const part of String(filters).split('|').slice(1)) {
      const [name = '', argument = ''] = part.split(':').map((piece) => piece.trim());
      const given = /^["\d-]/.test(argument) ? JSON.parse(argument) : at({ payload }, argument);
      if (name === 'default') value = value ?? given;
      else if (name === 'at_least') value = Math.max(Number(value), Number(given));
      else if (name === 'divided_by' && Number(given) === 0) error ??= marker(file, text, index + whole.indexOf(name), part.trim().length, 'divided by 0', 'give it a number that is not 0');
      else if (name === 'divided_by') value = Number(value) / Number(given);
    }
    const json = JSON.stringify(value ?? null);
    return inString ? json.replace(/^"|"$/g, '') : json;
  });
  if (error) return { output: null, error, compiles: true };
  try {
    return { output: JSON.stringify(JSON.parse(out)), error: null };
  } catch {
    return { output: null, compiles: true, error: { ...marker(file, text, 0, 1, 'the output is not one JSON value', null), cause: 'output' } };
  }
}

/** Every path of a JSON value. @param {unknown} value @param {string} path @param {any[]} found @returns {any[]} */
export function paths(value, path, found = []) {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const leaf = kind !== 'object' && kind !== 'array';
  found.push({ path, kind, example: leaf ? JSON.stringify(value).slice(0, 120) : null });
  if (Array.isArray(value)) {
    if (value.length > 0) paths(value[0], `${path}[0]`, found);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) paths(inner, `${path}.${key}`, found);
  }
  return found;
}
