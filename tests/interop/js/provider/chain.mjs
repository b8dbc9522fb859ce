// What a provider does on the chain, by the program's README and IDL: register, stake, read an escrow, redeem.

import {
  Connection,
  Ed25519Program,
  PublicKey,
  SYSVAR_INSTRUCTIONS_PUBKEY,
  Transaction,
  sendAndConfirmTransaction,
} from '@solana/web3.js';

import { isSigned } from '../protocol/keys.mjs';
import { escrowJobId, voucherMessage } from '../protocol/money.mjs';
import { Program } from '../program.mjs';

const ESCROW_PATIENCE_MS = 60_000;
const LOOK_MS = 100;
const OPEN = 1;

/** The market, with a provider's wallet. */
export class Chain {
  constructor(market, wallet) {
    this.program = new Program(market);
    this.wallet = wallet;
    this.connection = new Connection(market.rpc_url, 'confirmed');
    this.provider = this.program.provider(wallet.publicKey);
  }

  async account(name, address) {
    const found = await this.connection.getAccountInfo(address);
    return found && this.program.read(name, found.data);
  }

  send(...instructions) {
    return sendAndConfirmTransaction(this.connection, new Transaction().add(...instructions), [this.wallet]);
  }

  /** Register with the least stake that the market asks for. */
  async register() {
    if (await this.account('provider', this.provider)) return;
    const { publicKey: owner } = this.wallet;
    const { min_stake: amount } = await this.account('config', this.program.config);
    const vault = this.program.vault(this.provider);
    const parties = { owner, funder: owner, provider: this.provider, vault, source: this.program.tokens(owner) };
    await this.send(
      this.program.instruction('register_provider', { payout_owner: owner }, parties),
      this.program.instruction('stake', { amount }, parties),
    );
  }

  /** The escrow of a lease once it is there and as agreed; throws what is wrong with it. */
  async escrow(start, maxCost) {
    const address = new PublicKey(start.escrow);
    const client = this.program.client(new PublicKey(start.client));
    const jobId = escrowJobId(start.lease_id);
    const [expected] = PublicKey.findProgramAddressSync(
      [Buffer.from('escrow'), client.toBuffer(), jobId],
      this.program.program,
    );
    if (!expected.equals(address)) throw new Error('the address is not of this client and lease');
    const deadline = Date.now() + ESCROW_PATIENCE_MS;
    for (;;) {
      const escrow = await this.account('escrow', address);
      if (escrow) {
        const wrong = Object.entries({
          provider: escrow.provider.equals(this.provider),
          max: escrow.max - escrow.released >= BigInt(maxCost),
          voucher_signer: escrow.voucher_signer.toBase58() === start.voucher_signer,
          state: escrow.state === OPEN,
        }).filter(([, holds]) => !holds);
        if (wrong.length > 0) throw new Error(`the escrow has another ${wrong[0][0]}`);
        return { ...escrow, address, client };
      }
      if (Date.now() > deadline) throw new Error('the escrow did not appear');
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** The bytes that a voucher of this escrow signs. */
  async voucherMessage(escrow, cumulative) {
    this.config ??= await this.account('config', this.program.config);
    const { domain } = this.config;
    return voucherMessage({ domain, escrow: escrow.address.toBase58(), sequence: escrow.sequence, cumulative });
  }

  /** Whether the program would pay a voucher. */
  async isGood(escrow, voucher) {
    if (BigInt(voucher.cumulative_micro_usdc) > escrow.max) return false;
    const message = await this.voucherMessage(escrow, voucher.cumulative_micro_usdc);
    return isSigned(escrow.voucher_signer.toBuffer(), message, Buffer.from(voucher.signature, 'hex'));
  }

  /** Redeem a voucher and close the escrow, or with nothing earned give it up; the transaction. */
  async redeem(escrow, voucher) {
    const { publicKey: owner } = this.wallet;
    const parties = {
      provider_owner: owner,
      client: escrow.client,
      provider: this.provider,
      escrow: escrow.address,
      rent_payer: escrow.rent_payer,
    };
    const cumulative = voucher?.cumulative_micro_usdc ?? 0;
    if (cumulative === 0) return this.send(this.program.instruction('relinquish', {}, parties));
    const { treasury } = await this.account('config', this.program.config);
    const provider = await this.account('provider', this.provider);
    const proof = Ed25519Program.createInstructionWithPublicKey({
      publicKey: escrow.voucher_signer.toBytes(),
      message: await this.voucherMessage(escrow, cumulative),
      signature: Buffer.from(voucher.signature, 'hex'),
    });
    const args = { cumulative, ed25519_instruction: 0, signature: 0, final: 1 };
    const claim = this.program.instruction('claim_voucher', args, {
      ...parties,
      instructions_sysvar: SYSVAR_INSTRUCTIONS_PUBKEY,
      client_vault: this.program.vault(escrow.client),
      payout: this.program.tokens(provider.payout_owner),
      treasury,
    });
    return this.send(proof, claim);
  }
}
