// The bundle that the daemon embeds: three files of fixed names, the same bytes from the same sources.
import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

/** What the licences of what is bundled ask for: their notices travel with the code. */
function notices(): Plugin {
  return {
    name: 'notices',
    generateBundle(_, bundle) {
      const app = bundle['assets/app.js'];
      if (app?.type !== 'chunk') throw new Error('no assets/app.js was made');
      app.code = `/*!\n${readFileSync(new URL('./NOTICES.txt', import.meta.url), 'utf8')}*/\n${app.code}`;
    },
  };
}

export default defineConfig({
  base: '/',
  plugins: [notices()],
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2022',
    sourcemap: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2048,
    rollupOptions: {
      output: {
        inlineDynamicImports: true,
        entryFileNames: 'assets/app.js',
        assetFileNames: 'assets/app[extname]',
      },
    },
  },
});
