export { verifyReceipt } from '../../src/index.js';
