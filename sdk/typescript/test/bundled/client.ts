export { NeuroGridClient } from '../../src/index.js';
