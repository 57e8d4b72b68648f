// A request as a command for a shell. What is quoted cannot end the quotes, whatever a payload holds.
import { api } from '../../api/client';
import type { DeliveryWithAttempts, Event, Overview } from '../../api/types';

export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The request of the delivery, as its target would get it but unsigned; of an event without one, the event's own. */
export async function curl(event: Event, chosen: DeliveryWithAttempts | undefined, overview: Overview | null): Promise<string> {
  if (!chosen) {
    const path = overview?.sources.find((one) => one.name === event.source)?.path ?? `/in/${event.source}`;
    const headers = event.headers.filter((header) => !['host', 'content-length', 'connection'].includes(header.name));
    return command(`http://127.0.0.1:8080${path}`, headers.map((one): [string, string] => [one.name, one.value]), await api.eventBody(event.id));
  }
  const body = await api.deliveryBody(chosen.id);
  if (body.body === null) throw new Error(body.error ? body.error.message : 'The body is not text, so it cannot stand in a command.');
  const url = overview?.targets.find((one) => one.name === chosen.target)?.url ?? chosen.target;
  return command(url, [['content-type', body.content_type ?? 'application/json'], ['webhook-id', chosen.id]], body.body);
}

function command(url: string, headers: Array<[string, string]>, body: string): string {
  const lines = [
    `curl -sS -i -X POST ${quote(url)}`,
    ...headers.map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
    `--data-binary ${quote(body)}`,
  ];
  return lines.join(' \\\n  ');
}
