// The market on the suites' ledger, and a client's accounts in it.

import { ledger } from './ledger.mjs';
import { Program } from './program.mjs';

export class Market extends Program {
  constructor() {
    super(ledger);
  }

  /** Every party of a client's instructions, by the role it has in idl.json. */
  parties(owner) {
    const client = this.client(owner);
    const source = this.tokens(owner);
    return { owner, funder: owner, source, client, vault: this.vault(client) };
  }
}
