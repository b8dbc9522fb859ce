/* Whether a market's arbiter has signed: one key, or enough members of an SPL Token multisig. */
#pragma once
#include "checks.h"

/* A multisig account of the token program: m, n, whether it was initialized, and n keys. The token
 * program has checked 1 <= m <= n <= 11. */
typedef struct {
    u8 required, member_count, is_initialized;
    u8 members[11][32];
} multisig;
_Static_assert(sizeof(multisig) == 355, "multisig size");

ALWAYS_INLINE int is_member(const multisig *group, const pubkey *key) {
    for (u64 i = 0; i < group->member_count; i++)
        if (same_key((const pubkey *)group->members[i], key)) return 1;
    return 0;
}

/* The account at `index` is the arbiter, and it signed: itself, or, if it is a multisig account, by
 * its members among the instruction's signers. They are distinct, because no account can be passed
 * twice. */
NO_INLINE u64 check_arbiter(u64 index, const pubkey *arbiter) {
    account_info *account = ACCOUNT(index);
    REQUIRE(same_key(account->key, arbiter), ERR_NOT_AUTHORIZED);
    if (account->is_signer) return 0;
    REQUIRE(same_key(account->owner, &TOKEN_PROGRAM), ERR_MISSING_SIGNER);
    REQUIRE(account->data_len == sizeof(multisig), ERR_MISSING_SIGNER);
    const multisig *group = (const multisig *)account->data;
    REQUIRE(group->is_initialized == 1, ERR_MISSING_SIGNER);
    u64 signed_by = 0;
    for (u64 i = 0; i < SCRATCH->account_count; i++)
        if (ACCOUNT(i)->is_signer && is_member(group, ACCOUNT(i)->key)) signed_by++;
    REQUIRE(signed_by >= group->required, ERR_MISSING_SIGNER);
    return 0;
}
