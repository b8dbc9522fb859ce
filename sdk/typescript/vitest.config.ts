import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those below test/live need a coordinator: pytest starts one (tests/typescript) and names them.
    exclude: process.env['NEUROGRID_API_URL'] ? [] : ['test/live/**'],
    testTimeout: 20_000,
  },
});
