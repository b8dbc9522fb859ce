/* Creating and closing the accounts this program owns. */
#pragma once
#include "checks.h"
#include "cpi.h"

/* Lamports that make an account of `space` bytes live for ever. */
NO_INLINE u64 rent_exempt_minimum(u64 space) {
    /* 128: what the runtime charges for an account's own metadata. */
    const u64 metadata_bytes = 128;
    sol_get_rent_sysvar(&SCRATCH->rent);
    u64 minimum = (space + metadata_bytes) * SCRATCH->rent.lamports_per_byte_year;
    /* The threshold is 2.0 years today and 1.0 once SIMD-0194 folds it into the price. 0x400 is the
     * sign and exponent of the double 2.0. */
    if (SCRATCH->rent.exemption_threshold_bits >> 52 == 0x400) minimum *= 2;
    return minimum;
}

/*
 * Create the account at `index`, whose `seed_count` seeds are set, paid by the account at `payer`.
 *
 * Only the canonical bump is accepted, so each party and each job has one address. Transfer,
 * allocate and assign are three calls instead of one create_account, because that one fails on an
 * address to which a stranger has sent a lamport.
 */
NO_INLINE u64 create_account(u64 payer, u64 index, u64 seed_count, u64 space, const pubkey *owner) {
    account_info *account = ACCOUNT(index);
    REQUIRE(sol_try_find_program_address(SCRATCH->seeds, seed_count, SCRATCH->program_id,
                                         &SCRATCH->derived_address, &SCRATCH->derived_bump) == 0,
            ERR_WRONG_ADDRESS);
    REQUIRE(same_key(&SCRATCH->derived_address, account->key), ERR_WRONG_ADDRESS);
    REQUIRE(account->data_len == 0 && same_key(account->owner, &SYSTEM_PROGRAM),
            ERR_ALREADY_EXISTS);
    TRY(check_writable(index));
    set_seed(seed_count, &SCRATCH->derived_bump, 1);

    u64 minimum = rent_exempt_minimum(space);
    if (*account->lamports < minimum) {
        cpi_account(0, payer, WRITABLE, SIGNER);
        cpi_account(1, index, WRITABLE, NOT_SIGNER);
        *(u32 *)SCRATCH->cpi_data = SYSTEM_TRANSFER;
        *(u64 *)(SCRATCH->cpi_data + 4) = minimum - *account->lamports;
        TRY(invoke(&SYSTEM_PROGRAM, 2, 12, 0));
    }

    cpi_account(0, index, WRITABLE, SIGNER);
    *(u32 *)SCRATCH->cpi_data = SYSTEM_ALLOCATE;
    *(u64 *)(SCRATCH->cpi_data + 4) = space;
    TRY(invoke(&SYSTEM_PROGRAM, 1, 12, seed_count + 1));

    /* The runtime wrote the new length into the serialized input, just before the data, but the
     * account_info that the next call is given carries it by value. */
    account->data_len = *(u64 *)(account->data - 8);
    cpi_account(0, index, WRITABLE, SIGNER);
    *(u32 *)SCRATCH->cpi_data = SYSTEM_ASSIGN;
    *(pubkey *)(SCRATCH->cpi_data + 4) = *owner;
    return invoke(&SYSTEM_PROGRAM, 1, 36, seed_count + 1);
}

/*
 * Close the account at `index`: its lamports go to `receiver`.
 *
 * Data zeroed, length zero and owner System, so that sending lamports to the address later in the
 * same transaction cannot bring the account back to life.
 */
NO_INLINE void close_account(u64 index, account_info *receiver) {
    account_info *account = ACCOUNT(index);
    *receiver->lamports += *account->lamports;
    *account->lamports = 0;
    sol_memset_(account->data, 0, account->data_len);
    *(u64 *)(account->data - 8) = 0;
    *account->owner = SYSTEM_PROGRAM;
}
