/*
 * What an instruction asks of its accounts and arguments, and arithmetic that cannot wrap.
 *
 * Every function returns 0 or an error code; TRY passes an error up. Nothing here changes state.
 */
#pragma once
#include "errors.h"
#include "solana.h"
#include "state.h"

#define TRY(expression)                                                                            \
    do {                                                                                           \
        u64 error_ = (expression);                                                                 \
        if (error_) return error_;                                                                 \
    } while (0)
#define REQUIRE(condition, error)                                                                  \
    do {                                                                                           \
        if (!(condition)) return (error);                                                          \
    } while (0)

/* ---- values ---- */

ALWAYS_INLINE int same_key(const pubkey *a, const pubkey *b) {
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
           a->word[3] == b->word[3];
}

ALWAYS_INLINE int is_zero_key(const pubkey *key) {
    return (key->word[0] | key->word[1] | key->word[2] | key->word[3]) == 0;
}

ALWAYS_INLINE u16 load_u16(const u8 *bytes) { return *(const u16 *)bytes; }
ALWAYS_INLINE u64 load_u64(const u8 *bytes) { return *(const u64 *)bytes; }
ALWAYS_INLINE pubkey load_key(const u8 *bytes) { return *(const pubkey *)bytes; }

/* *total += amount, or ERR_OVERFLOW with *total unchanged. */
ALWAYS_INLINE u64 add_to(u64 *total, u64 amount) {
    u64 sum = *total + amount;
    REQUIRE(sum >= amount, ERR_OVERFLOW);
    *total = sum;
    return 0;
}

/* *total -= amount, or `error` with *total unchanged. */
ALWAYS_INLINE u64 take_from(u64 *total, u64 amount, u64 error) {
    REQUIRE(amount <= *total, error);
    *total -= amount;
    return 0;
}

ALWAYS_INLINE u64 smaller(u64 a, u64 b) { return a < b ? a : b; }

/* amount * bps / 10000, rounded down, for bps <= 10000. Split, because the VM has no 128-bit
 * product: amount = 10000 q + r gives q * bps + r * bps / 10000 exactly. */
ALWAYS_INLINE u64 basis_points(u64 amount, u64 bps) {
    return (amount / BPS_ONE) * bps + (amount % BPS_ONE) * bps / BPS_ONE;
}

/* ---- the instruction as a whole ---- */

/* At least `accounts` accounts and exactly `args_len` bytes of arguments. Accounts beyond the fixed
 * ones are the optional ones of an instruction, which are looked up by key. */
ALWAYS_INLINE u64 expect(u64 accounts, u64 args_len) {
    REQUIRE(SCRATCH->account_count >= accounts, ERR_ACCOUNT_COUNT);
    REQUIRE(SCRATCH->args_len == args_len, ERR_INSTRUCTION_DATA);
    return 0;
}

ALWAYS_INLINE u64 arg_u64(u64 offset) { return load_u64(SCRATCH->args + offset); }
ALWAYS_INLINE i64 arg_i64(u64 offset) { return (i64)load_u64(SCRATCH->args + offset); }
ALWAYS_INLINE pubkey arg_key(u64 offset) { return load_key(SCRATCH->args + offset); }

/* The chain's time, Unix seconds. */
NO_INLINE i64 now(void) {
    sol_get_clock_sysvar(&SCRATCH->clock);
    return SCRATCH->clock.unix_timestamp;
}

#define NOT_LISTED ACCOUNTS_MAX

/* Where the account with this key is listed, or NOT_LISTED. No key is listed twice (entrypoint).
 * From the end, where the accounts stand that are looked up by key. */
NO_INLINE u64 find_index(const pubkey *key) {
    for (u64 i = SCRATCH->account_count; i-- > 0;)
        if (same_key(ACCOUNT(i)->key, key)) return i;
    return NOT_LISTED;
}

/* The same account itself, or null. */
ALWAYS_INLINE account_info *find_account(const pubkey *key) {
    u64 index = find_index(key);
    return index == NOT_LISTED ? 0 : ACCOUNT(index);
}

ALWAYS_INLINE int has_signed(const pubkey *key) {
    account_info *account = find_account(key);
    return account && account->is_signer;
}

/* ---- single accounts ---- */

ALWAYS_INLINE u64 check_signer(u64 index) {
    return ACCOUNT(index)->is_signer ? 0 : ERR_MISSING_SIGNER;
}

ALWAYS_INLINE u64 check_writable(u64 index) {
    return ACCOUNT(index)->is_writable ? 0 : ERR_NOT_WRITABLE;
}

/* The account at `index` signed, and it is `key`. */
ALWAYS_INLINE u64 check_authority(u64 index, const pubkey *key) {
    TRY(check_signer(index));
    return same_key(ACCOUNT(index)->key, key) ? 0 : ERR_NOT_AUTHORIZED;
}

ALWAYS_INLINE u64 check_program(u64 index, const pubkey *program) {
    return same_key(ACCOUNT(index)->key, program) ? 0 : ERR_WRONG_PROGRAM;
}

/* `recorded`, a key stored in one account, names the account at `index`. Accounts are checked
 * against each other by these links and not by deriving addresses again: an account owned by this
 * program, with the right tag, was created by it at its canonical address. */
ALWAYS_INLINE u64 check_link(const pubkey *recorded, u64 index) {
    return same_key(recorded, ACCOUNT(index)->key) ? 0 : ERR_WRONG_LINK;
}

enum { READ_ONLY = 0, WRITABLE = 1 };

/* A state account of this program: owner, exact size, tag and version. */
NO_INLINE u64 check_state(u64 index, u64 tag, u64 size, u64 access) {
    account_info *account = ACCOUNT(index);
    REQUIRE(same_key(account->owner, SCRATCH->program_id), ERR_WRONG_OWNER);
    REQUIRE(account->data_len == size, ERR_WRONG_ACCOUNT_TYPE);
    REQUIRE(account->data[0] == tag && account->data[1] == ACCOUNT_VERSION, ERR_WRONG_ACCOUNT_TYPE);
    REQUIRE(access == READ_ONLY || account->is_writable, ERR_NOT_WRITABLE);
    return 0;
}

ALWAYS_INLINE u64 load_config(u64 index, u64 access, config_account **config) {
    TRY(check_state(index, TAG_CONFIG, sizeof(config_account), access));
    *config = (config_account *)ACCOUNT(index)->data;
    return 0;
}

/* A provider, client or escrow of the config at `config_index`. */
ALWAYS_INLINE u64 load_provider(u64 index, u64 config_index, u64 access, provider_account **out) {
    TRY(check_state(index, TAG_PROVIDER, sizeof(provider_account), access));
    *out = (provider_account *)ACCOUNT(index)->data;
    return check_link(&(*out)->config, config_index);
}

ALWAYS_INLINE u64 load_client(u64 index, u64 config_index, u64 access, client_account **out) {
    TRY(check_state(index, TAG_CLIENT, sizeof(client_account), access));
    *out = (client_account *)ACCOUNT(index)->data;
    return check_link(&(*out)->config, config_index);
}

ALWAYS_INLINE u64 load_escrow(u64 index, u64 config_index, escrow_account **out) {
    TRY(check_state(index, TAG_ESCROW, sizeof(escrow_account), WRITABLE));
    *out = (escrow_account *)ACCOUNT(index)->data;
    return check_link(&(*out)->config, config_index);
}
