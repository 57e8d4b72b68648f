// What a screen shows comes from calls that can fail, be late or be overtaken.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { isAbort, words } from '../api/client';
import { token } from '../api/token';

export type Loaded<A> = {
  data: A | null;
  /** Why the last call failed; `data` is then what the one before gave. */
  trouble: string | null;
  loading: boolean;
  again: () => void;
};

/** Calls when `deps` change and then every `every` milliseconds while the page is visible. */
export function useLoad<A>(call: (signal: AbortSignal) => Promise<A>, deps: unknown[], every = 0): Loaded<A> {
  const [data, setData] = useState<A | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [loading, setLoading] = useState(true);
  const [round, setRound] = useState(0);
  const latest = useRef(call);
  latest.current = call;
  const again = useCallback(() => setRound((now) => now + 1), []);

  useEffect(() => {
    setData(null);
    setTrouble(null);
  }, deps);

  useEffect(() => {
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async (): Promise<void> => {
      if (!document.hidden && !token.wanted()) {
        setLoading(true);
        try {
          const found = await latest.current(ended.signal);
          if (ended.signal.aborted) return;
          setData(() => found);
          setTrouble(null);
        } catch (error) {
          if (ended.signal.aborted || isAbort(error)) return;
          setTrouble(words(error));
        }
        setLoading(false);
      }
      if (every > 0) timer = setTimeout(() => void run(), every);
    };
    void run();
    const unlisten = token.listen((wanted) => {
      if (!wanted) again();
    });
    return () => {
      ended.abort();
      clearTimeout(timer);
      unlisten();
    };
  }, [...deps, round, every]);

  return { data, trouble, loading, again };
}

/** An action of a person: whether it is under way, and what came of it. */
export function useAct(): { busy: boolean; trouble: string | null; act: (work: () => Promise<void>) => void; clear: () => void } {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const act = useCallback((work: () => Promise<void>) => {
    setBusy(true);
    setTrouble(null);
    work()
      .catch((error: unknown) => setTrouble(words(error)))
      .finally(() => setBusy(false));
  }, []);
  return { busy, trouble, act, clear: useCallback(() => setTrouble(null), []) };
}

let ticking: ReturnType<typeof setInterval> | undefined;
const tickers = new Set<(now: number) => void>();

/** The time, each second; one timer for the whole page. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    tickers.add(setNow);
    ticking ??= setInterval(() => {
      const at = Date.now();
      for (const ticker of tickers) ticker(at);
    }, 1000);
    return () => {
      tickers.delete(setNow);
      if (tickers.size === 0) {
        clearInterval(ticking);
        ticking = undefined;
      }
    };
  }, []);
  return now;
}
