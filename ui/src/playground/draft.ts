// Texts that are being written, by template. They outlive a visit to another screen, not the tab.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { api, words } from '../api/client';

export type Draft = {
  name: string;
  text: string;
  /** As it stood on disk when it was read; empty for a new file. */
  base: string;
  /** What a save compares; null for a new file. */
  etag: string | null;
  /** Counts the texts that did not come from the editor, so that it takes those and only those. */
  version: number;
};

const drafts = new Map<string, Draft>();
export const isChanged = (draft: Draft): boolean => draft.text !== draft.base;

addEventListener('beforeunload', (event) => {
  if ([...drafts.values()].some(isChanged)) event.preventDefault();
});

/** A new file, that is not on disk before it is saved. */
export function begin(name: string): void {
  drafts.set(name, { name, text: '', base: '', etag: null, version: 0 });
}

export function useDraft(name: string): {
  draft: Draft | null;
  trouble: string | null;
  /** What was typed. */
  write: (text: string) => void;
  /** Goes back to the text as it was read. */
  revert: () => void;
  /** Takes the file as it is on disk; with `keep` the text that was written stays, over the newer file. */
  read: (keep: boolean) => Promise<void>;
  /** That this text is on disk now; what was typed meanwhile is a change. */
  saved: (text: string, etag: string) => void;
} {
  const [draft, setDraft] = useState<Draft | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);

  const hold = useCallback((now: Draft) => {
    drafts.set(now.name, now);
    setDraft(now);
  }, []);

  const read = useCallback(async (keep: boolean) => {
    const file = await api.template(name);
    const written = drafts.get(name);
    hold({ name, text: keep && written ? written.text : file.text, base: file.text, etag: file.etag, version: (written?.version ?? 0) + 1 });
  }, [name]);

  useEffect(() => {
    setTrouble(null);
    const held = drafts.get(name);
    setDraft(held && (isChanged(held) || held.etag === null) ? held : null);
    if (!name || (held && (isChanged(held) || held.etag === null))) return;
    read(false).catch((error: unknown) => setTrouble(words(error)));
  }, [name]);

  const current = draft?.name === name ? draft : null;
  return {
    draft: current,
    trouble,
    write: (text) => {
      const held = drafts.get(name);
      if (held && text !== held.text) hold({ ...held, text });
    },
    revert: () => {
      const held = drafts.get(name);
      if (held) hold({ ...held, text: held.base, version: held.version + 1 });
    },
    read,
    saved: (text, etag) => {
      const held = drafts.get(name);
      if (held) hold({ ...held, base: text, etag });
    },
  };
}
