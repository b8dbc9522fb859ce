// Our program, called by somebody who knows nothing but contracts-client/program/idl.json.

import assert from 'node:assert/strict';
import { PublicKey, SystemProgram, TransactionInstruction } from '@solana/web3.js';

export const TOKEN = new PublicKey('TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA');
const ASSOCIATED_TOKEN = new PublicKey('ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL');

const derived = (seeds, program) => PublicKey.findProgramAddressSync(seeds, program)[0];

// How an argument's bytes are made of its value.
const WRITERS = {
  u8: (value) => Buffer.from([value]),
  u64: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  },
  pubkey: (value) => value.toBuffer(),
};

/** A market of the program: its addresses, instructions and accounts. */
export class Program {
  constructor({ idl, program_id, usdc_mint, market_admin }) {
    this.idl = idl;
    this.program = new PublicKey(program_id);
    this.mint = new PublicKey(usdc_mint);
    this.config = this.derive('config', new PublicKey(market_admin), this.mint);
  }

  derive(prefix, ...keys) {
    return derived([Buffer.from(prefix), ...keys.map((key) => key.toBuffer())], this.program);
  }

  client(owner) {
    return this.derive('client', this.config, owner);
  }

  provider(owner) {
    return this.derive('provider', this.config, owner);
  }

  vault(account) {
    return this.derive(this.idl.vault_address.prefix, account);
  }

  /** The account that holds an owner's USDC. */
  tokens(owner) {
    return derived(
      [owner, TOKEN, this.mint].map((key) => key.toBuffer()),
      ASSOCIATED_TOKEN,
    );
  }

  /**
   * An instruction. `parties` has every account by the role that it has in idl.json, those that are there only
   * sometimes among them when they are wanted.
   */
  instruction(name, args, parties) {
    const described = this.idl.instructions.find((one) => one.name === name);
    const values = described.args.map((arg) => WRITERS[arg.type](args[arg.name]));
    const wanted = (described.optional_accounts ?? []).filter((one) => one.name in parties);
    const keys = [...described.accounts, ...wanted].map(({ name: role, signer, writable }) => {
      const known = { system_program: SystemProgram.programId, token_program: TOKEN };
      const pubkey = parties[role] ?? { ...known, config: this.config, mint: this.mint }[role];
      assert.ok(pubkey, role);
      return { pubkey, isSigner: signer, isWritable: writable };
    });
    const data = Buffer.concat([Buffer.from([described.tag]), ...values]);
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
      bytes32: (offset) => data.subarray(offset, offset + 32),
    };
    return Object.fromEntries(fields.map((one) => [one.name, readers[one.type](one.offset)]));
  }
}
