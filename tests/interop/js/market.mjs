// Our program, called by somebody who knows nothing but contracts-client/program/idl.json.

import { ledger } from './ledger.mjs';

import assert from 'node:assert/strict';
import { PublicKey, SystemProgram, TransactionInstruction } from '@solana/web3.js';

const TOKEN = new PublicKey('TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA');
const ASSOCIATED_TOKEN = new PublicKey('ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL');

const derived = (seeds, program) => PublicKey.findProgramAddressSync(seeds, program)[0];

export class Market {
  idl = ledger.idl;
  program = new PublicKey(ledger.program_id);
  mint = new PublicKey(ledger.usdc_mint);
  config = this.derive('config', new PublicKey(ledger.market_admin), this.mint);

  derive(prefix, ...keys) {
    return derived([Buffer.from(prefix), ...keys.map((key) => key.toBuffer())], this.program);
  }

  client(owner) {
    return this.derive('client', this.config, owner);
  }

  /** Every party of a client's instructions, by the role it has in idl.json. */
  parties(owner) {
    const client = this.client(owner);
    return {
      owner,
      funder: owner,
      source: derived(
        [owner, TOKEN, this.mint].map((key) => key.toBuffer()),
        ASSOCIATED_TOKEN,
      ),
      client,
      config: this.config,
      vault: this.derive(this.idl.vault_address.prefix, client),
      mint: this.mint,
      system_program: SystemProgram.programId,
      token_program: TOKEN,
    };
  }

  instruction(name, args, parties) {
    const described = this.idl.instructions.find((one) => one.name === name);
    const data = Buffer.alloc(1 + 8 * described.args.length, described.tag);
    described.args.forEach((arg, index) => {
      assert.equal(arg.type, 'u64');
      data.writeBigUInt64LE(args[arg.name], 1 + 8 * index);
    });
    const keys = described.accounts.map(({ name: role, signer, writable }) => {
      assert.ok(parties[role], role);
      return { pubkey: parties[role], isSigner: signer, isWritable: writable };
    });
    return new TransactionInstruction({ programId: this.program, keys, data });
  }

  read(name, data) {
    const { fields } = this.idl.accounts.find((one) => one.name === name);
    const readers = {
      u64: (offset) => data.readBigUInt64LE(offset),
      i64: (offset) => data.readBigInt64LE(offset),
      u32: (offset) => data.readUInt32LE(offset),
      u16: (offset) => data.readUInt16LE(offset),
      u8: (offset) => data.readUInt8(offset),
      pubkey: (offset) => new PublicKey(data.subarray(offset, offset + 32)),
    };
    return Object.fromEntries(fields.map((one) => [one.name, readers[one.type](one.offset)]));
  }
}
