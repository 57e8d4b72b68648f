// What differs between two texts, by line: the shortest edit (Myers), bounded.

export type Line = { kind: 'same' | 'old' | 'new'; text: string };

/** Beyond this many edits the rest is told as "all of this became all of that". */
const MOST_EDITS = 1500;

export function diff(before: string, after: string): Line[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const same = (text: string): Line => ({ kind: 'same', text });
  return [
    ...a.slice(0, head).map(same),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map(same),
  ];
}

function middle(a: string[], b: string[]): Line[] {
  const trace = edits(a, b);
  if (!trace) {
    return [
      ...a.map((text): Line => ({ kind: 'old', text })),
      ...b.map((text): Line => ({ kind: 'new', text })),
    ];
  }
  return walkBack(a, b, trace);
}

/** For each number of edits, how far each diagonal reaches. */
function edits(a: string[], b: string[]): Array<Map<number, number>> | null {
  const reach = new Map<number, number>([[1, 0]]);
  const trace: Array<Map<number, number>> = [];
  for (let d = 0; d <= Math.min(a.length + b.length, MOST_EDITS); d += 1) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reach.get(k - 1) ?? 0) < (reach.get(k + 1) ?? 0));
      let x = down ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function walkBack(a: string[], b: string[], trace: Array<Map<number, number>>): Line[] {
  const out: Line[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const reach = trace[d] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -d || (k !== d && (reach.get(k - 1) ?? 0) < (reach.get(k + 1) ?? 0));
    const fromK = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : (reach.get(fromK) ?? 0);
    const fromY = d === 0 ? 0 : fromX - fromK;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      out.push({ kind: 'same', text: a[x] ?? '' });
    }
    if (d === 0) break;
    if (down) out.push({ kind: 'new', text: b[(y -= 1)] ?? '' });
    else out.push({ kind: 'old', text: a[(x -= 1)] ?? '' });
  }
  return out.reverse();
}

/** The lines that differ with some around them; `null` stands for a gap. */
export function hunks(all: Line[], around = 3): Array<Line | null> {
  const near = new Set<number>();
  all.forEach((line, index) => {
    if (line.kind === 'same') return;
    for (let i = index - around; i <= index + around; i += 1) near.add(i);
  });
  const out: Array<Line | null> = [];
  all.forEach((line, index) => {
    if (near.has(index)) out.push(line);
    else if (out.at(-1) !== null) out.push(null);
  });
  return out;
}
