/* Calling other programs, with SCRATCH as the only buffer. */
#pragma once
#include "solana.h"

enum { NOT_SIGNER = 0, SIGNER = 1 };

/* System program instructions (u32 tags) and SPL Token instructions (u8 tags) used here. */
enum { SYSTEM_ASSIGN = 1, SYSTEM_TRANSFER = 2, SYSTEM_ALLOCATE = 8 };
enum { TOKEN_TRANSFER = 3, TOKEN_CLOSE_ACCOUNT = 9, TOKEN_INITIALIZE_ACCOUNT3 = 18 };

/* Make the account at `index` the call's account number `slot`. */
NO_INLINE void cpi_account(u64 slot, u64 index, u64 access, u64 signs) {
    SCRATCH->cpi_accounts[slot] = *ACCOUNT(index);
    SCRATCH->cpi_metas[slot].key = ACCOUNT(index)->key;
    SCRATCH->cpi_metas[slot].is_writable = access;
    SCRATCH->cpi_metas[slot].is_signer = signs;
}

ALWAYS_INLINE void set_seed(u64 slot, const void *bytes, u64 len) {
    SCRATCH->seeds[slot].bytes = bytes;
    SCRATCH->seeds[slot].len = len;
}

/* Call `program` with the accounts and data set above. With `seed_count` > 0 the address derived
 * from the seeds signs. */
NO_INLINE u64 invoke(const pubkey *program, u64 account_count, u64 data_len, u64 seed_count) {
    scratch *s = SCRATCH;
    s->cpi.program_id = program;
    s->cpi.metas = s->cpi_metas;
    s->cpi.meta_count = account_count;
    s->cpi.data = s->cpi_data;
    s->cpi.data_len = data_len;
    s->signer.seeds = s->seeds;
    s->signer.count = seed_count;
    return sol_invoke_signed_c(&s->cpi, s->cpi_accounts, account_count, &s->signer, seed_count > 0);
}
