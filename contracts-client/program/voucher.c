/* Redeeming a client's signed voucher: claim_voucher. */
#include "voucher.h"
#include "settlement.h"

/* One entry of an Ed25519 precompile instruction, 14 bytes: where to find signature, key and
 * message. An instruction index of THIS_INSTRUCTION means the Ed25519 instruction's own data. */
typedef struct {
    u16 signature_offset, signature_instruction;
    u16 key_offset, key_instruction;
    u16 message_offset, message_len, message_instruction;
} ed25519_entry;
_Static_assert(sizeof(ed25519_entry) == 14, "Ed25519 entry size");
#define THIS_INSTRUCTION 0xffff
/* u8 count and a padding byte come before the entries. */
#define ED25519_HEADER 2

typedef struct {
    const u8 *bytes;
    u64 len;
} slice;

/*
 * The data of the transaction's instruction number `index`, which must be the Ed25519 precompile's.
 *
 * The sysvar: u16 count, u16 offsets[count], and at each offset u16 account_count, 33 bytes per
 * account, 32 bytes program id, u16 data_len, data. The runtime writes it, and the caller has
 * checked its address. The index is the attacker's choice, though: one past the table would read
 * its offset from some instruction's data, and find there whatever was put there. The other bounds
 * guard against a change of the layout only.
 */
NO_INLINE u64 ed25519_data(u64 sysvar_index, u64 index, slice *data) {
    const u8 *sysvar = ACCOUNT(sysvar_index)->data;
    u64 sysvar_len = ACCOUNT(sysvar_index)->data_len;
    REQUIRE(2 + 2 * (index + 1) <= sysvar_len && index < load_u16(sysvar), ERR_BAD_VOUCHER);
    u64 offset = load_u16(sysvar + 2 + 2 * index);
    REQUIRE(offset + 2 <= sysvar_len, ERR_BAD_VOUCHER);
    offset += 2 + 33 * (u64)load_u16(sysvar + offset);
    REQUIRE(offset + 32 + 2 <= sysvar_len, ERR_BAD_VOUCHER);
    REQUIRE(same_key((const pubkey *)(sysvar + offset), &ED25519_PROGRAM), ERR_BAD_VOUCHER);
    data->len = load_u16(sysvar + offset + 32);
    data->bytes = sysvar + offset + 32 + 2;
    REQUIRE(offset + 32 + 2 + data->len <= sysvar_len, ERR_BAD_VOUCHER);
    return 0;
}

/*
 * Prove that the loaded escrow's voucher signer signed a voucher of it for `cumulative`.
 *
 * The runtime fails the whole transaction unless every entry of an Ed25519 instruction verifies, so
 * an entry whose three parts lie in that instruction's own data is proof. An entry that points into
 * another instruction proves something about other bytes than those read here: refused.
 */
NO_INLINE u64 check_voucher(const slice *data, u64 entry_index, u64 cumulative) {
    const escrow_account *escrow = SCRATCH->escrow;
    REQUIRE(data->len >= ED25519_HEADER && entry_index < data->bytes[0], ERR_BAD_VOUCHER);
    REQUIRE(ED25519_HEADER + sizeof(ed25519_entry) * (entry_index + 1) <= data->len,
            ERR_BAD_VOUCHER);
    const ed25519_entry *entry =
        (const ed25519_entry *)(data->bytes + ED25519_HEADER + sizeof(ed25519_entry) * entry_index);
    REQUIRE(entry->signature_instruction == THIS_INSTRUCTION, ERR_BAD_VOUCHER);
    REQUIRE(entry->key_instruction == THIS_INSTRUCTION, ERR_BAD_VOUCHER);
    REQUIRE(entry->message_instruction == THIS_INSTRUCTION, ERR_BAD_VOUCHER);
    REQUIRE(entry->message_len == sizeof(voucher), ERR_BAD_VOUCHER);
    REQUIRE(entry->key_offset + sizeof(pubkey) <= data->len, ERR_BAD_VOUCHER);
    REQUIRE(entry->message_offset + sizeof(voucher) <= data->len, ERR_BAD_VOUCHER);
    REQUIRE(same_key((const pubkey *)(data->bytes + entry->key_offset), &escrow->voucher_signer),
            ERR_BAD_VOUCHER);

    const voucher *signed_voucher = (const voucher *)(data->bytes + entry->message_offset);
    REQUIRE(signed_voucher->magic == VOUCHER_MAGIC, ERR_BAD_VOUCHER);
    REQUIRE(signed_voucher->domain == SCRATCH->config->domain, ERR_BAD_VOUCHER);
    REQUIRE(same_key(&signed_voucher->escrow, ACCOUNT(PAY_ESCROW)->key), ERR_BAD_VOUCHER);
    REQUIRE(signed_voucher->sequence == escrow->sequence, ERR_BAD_VOUCHER);
    REQUIRE(signed_voucher->cumulative == cumulative, ERR_BAD_VOUCHER);
    REQUIRE(signed_voucher->reserved == 0, ERR_BAD_VOUCHER);
    return 0;
}

/*
 * claim_voucher: pay what a voucher promises above what was already released.
 *
 * Accounts
 *   0 instructions sysvar
 *   1 config
 *   2 client        writable
 *   3 provider      writable
 *   4 escrow        writable
 *   5 client vault  writable
 *   6 payout        writable        token account of the provider's payout_owner
 *   7 treasury      writable
 *   8 token program
 *   + provider owner signer         with final
 *   + rent payer    writable        with final, unless listed already
 *   + client owner  signer          with final while the escrow is disputed
 * Arguments: cumulative u64, ed25519_instruction u8, signature u8, final u8
 * Before: entry `signature` of the transaction's instruction `ed25519_instruction` proves the
 *   voucher; the escrow is open and claim_until has not passed, or it is disputed (what the client
 *   has signed is not in dispute); released < cumulative <= max, or with final
 *   released <= cumulative. Anybody may relay it: money goes only to the provider. An offered
 *   escrow is accepted first, in the same transaction if need be.
 * After: cumulative is released. final, by the provider's signature, closes the escrow at once: the
 *   rest is unlocked and the rent returned.
 */
static u64 claim_voucher(void) {
    enum { CUMULATIVE = 0, ED25519_INSTRUCTION = 8, SIGNATURE = 9, FINAL = 10, ARGS_LEN = 11 };
    TRY(expect(PAY_ACCOUNTS, ARGS_LEN));
    REQUIRE(same_key(ACCOUNT(PAY_FIRST)->key, &INSTRUCTIONS_SYSVAR), ERR_WRONG_SYSVAR);
    TRY(load_payment());
    escrow_account *escrow = SCRATCH->escrow;
    u64 cumulative = arg_u64(CUMULATIVE);
    u8 final = SCRATCH->args[FINAL];
    REQUIRE(final <= 1, ERR_INSTRUCTION_DATA);
    REQUIRE(escrow->state != ESCROW_OFFERED, ERR_WRONG_STATE);
    REQUIRE(escrow->state == ESCROW_DISPUTED || now() <= escrow->claim_until, ERR_WRONG_TIME);

    slice data;
    TRY(ed25519_data(PAY_FIRST, SCRATCH->args[ED25519_INSTRUCTION], &data));
    TRY(check_voucher(&data, SCRATCH->args[SIGNATURE], cumulative));
    /* cumulative <= max is settle's to check, as for every payment. */
    REQUIRE(cumulative > escrow->released || (final && cumulative == escrow->released),
            ERR_STALE_RELEASE);

    if (final) {
        TRY(check_provider_may_close(SCRATCH->client, SCRATCH->provider, escrow));
        SCRATCH->provider->jobs_completed++;
    }
    return settle(cumulative - escrow->released, final ? CLOSE : KEEP_OPEN);
}
