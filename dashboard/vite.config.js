import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `make dashboard` says where the coordinator's package takes the files from; `npm run dev` asks a running coordinator.
const coordinator = process.env.NEUROGRID_API_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/dashboard/',
  plugins: [react()],
  // The SDK is a folder beside this one, and no copy.
  server: {
    fs: { allow: ['..'] },
    proxy: { '/api': coordinator, '/v1': coordinator, '/ws': { target: coordinator, ws: true } },
  },
  build: {
    outDir: process.env.DASHBOARD_OUT ?? 'dist',
    emptyOutDir: true,
    // The policy of what the page may load allows no script and no style within it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    reportCompressedSize: false,
  },
  test: { include: ['src/**/*.test.ts'] },
});
