// The bearer token of the door: kept for this tab only, told to nobody but the door itself.

const KEY = 'ingate-token';
type Listener = (wanted: boolean) => void;
const listeners = new Set<Listener>();
let wanted = false;

export const token = {
  get: (): string | null => sessionStorage.getItem(KEY),

  set(value: string): void {
    sessionStorage.setItem(KEY, value);
    tell(false);
  },

  forget(): void {
    sessionStorage.removeItem(KEY);
    tell(true);
  },

  /** Whether the door has refused what we sent, so that a person must be asked. */
  wanted: (): boolean => wanted,
  ask: (): void => tell(true),

  listen(listener: Listener): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function tell(now: boolean): void {
  wanted = now;
  for (const listener of listeners) listener(now);
}
