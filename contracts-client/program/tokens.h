/* SPL Token accounts: checking them, moving USDC, creating vaults. */
#pragma once
#include "accounts.h"
#include "checks.h"
#include "cpi.h"

/* An SPL Token account: mint 0..31, owner 32..63, amount 64..71, state at 108. */
#define TOKEN_ACCOUNT_SIZE 165
#define TOKEN_ACCOUNT_OWNER 32
#define TOKEN_ACCOUNT_AMOUNT 64
#define TOKEN_ACCOUNT_STATE 108
#define TOKEN_ACCOUNT_INITIALIZED 1 /* 2 would be frozen */

/* A usable token account of `mint`, of any owner or (if not null) of `owner`. */
NO_INLINE u64 check_token_account(u64 index, const pubkey *mint, const pubkey *owner) {
    account_info *account = ACCOUNT(index);
    REQUIRE(same_key(account->owner, &TOKEN_PROGRAM), ERR_BAD_TOKEN_ACCOUNT);
    REQUIRE(account->data_len == TOKEN_ACCOUNT_SIZE, ERR_BAD_TOKEN_ACCOUNT);
    REQUIRE(account->data[TOKEN_ACCOUNT_STATE] == TOKEN_ACCOUNT_INITIALIZED, ERR_BAD_TOKEN_ACCOUNT);
    REQUIRE(same_key((pubkey *)account->data, mint), ERR_WRONG_MINT);
    REQUIRE(!owner || same_key((pubkey *)(account->data + TOKEN_ACCOUNT_OWNER), owner),
            ERR_BAD_TOKEN_ACCOUNT);
    return 0;
}

/* Set the source of transfers, and the account that signs for it: itself, or through the seeds set
 * before when the transfer's seed_count > 0. */
ALWAYS_INLINE void transfer_from(u64 source, u64 authority) {
    cpi_account(0, source, WRITABLE, NOT_SIGNER);
    cpi_account(2, authority, READ_ONLY, SIGNER);
}

/* Move `amount` from the source that is set to the token account `destination`. Books are changed
 * before this. */
NO_INLINE u64 transfer_to(u64 destination, u64 amount, u64 seed_count) {
    if (amount == 0) return 0;
    cpi_account(1, destination, WRITABLE, NOT_SIGNER);
    SCRATCH->cpi_data[0] = TOKEN_TRANSFER;
    *(u64 *)(SCRATCH->cpi_data + 1) = amount;
    return invoke(&TOKEN_PROGRAM, 3, 9, seed_count);
}

NO_INLINE u64 transfer_tokens(u64 source, u64 destination, u64 authority, u64 amount,
                              u64 seed_count) {
    transfer_from(source, authority);
    return transfer_to(destination, amount, seed_count);
}

/* Seeds with which a client or provider account signs for its vault; returns their number. */
ALWAYS_INLINE u64 client_seeds(client_account *client) {
    set_seed(0, "client", 6);
    set_seed(1, &client->config, 32);
    set_seed(2, &client->owner, 32);
    set_seed(3, &client->bump, 1);
    return 4;
}

ALWAYS_INLINE u64 provider_seeds(provider_account *provider) {
    set_seed(0, "provider", 8);
    set_seed(1, &provider->config, 32);
    set_seed(2, &provider->owner, 32);
    set_seed(3, &provider->bump, 1);
    return 4;
}

/* Create the vault at `vault` for the client or provider account at `holder`. One vault per party:
 * whatever goes wrong with one touches nobody else's money. */
NO_INLINE u64 create_vault(u64 payer, u64 vault, u64 holder, u64 mint) {
    set_seed(0, "vault", 5);
    set_seed(1, ACCOUNT(holder)->key, 32);
    TRY(create_account(payer, vault, 2, TOKEN_ACCOUNT_SIZE, &TOKEN_PROGRAM));
    cpi_account(0, vault, WRITABLE, NOT_SIGNER);
    cpi_account(1, mint, READ_ONLY, NOT_SIGNER);
    SCRATCH->cpi_data[0] = TOKEN_INITIALIZE_ACCOUNT3;
    *(pubkey *)(SCRATCH->cpi_data + 1) = *ACCOUNT(holder)->key;
    return invoke(&TOKEN_PROGRAM, 2, 33, 0);
}

/* Close the vault of the client or provider account at `holder`, which signs through the seeds set
 * before: what it holds goes to the token account `destination`, its rent to `receiver`. The caller
 * has made sure that the books are empty, so all of it was donated. */
NO_INLINE u64 close_vault(u64 vault, u64 destination, u64 receiver, u64 holder, u64 seed_count) {
    u64 donated = load_u64(ACCOUNT(vault)->data + TOKEN_ACCOUNT_AMOUNT);
    TRY(transfer_tokens(vault, destination, holder, donated, seed_count));
    cpi_account(0, vault, WRITABLE, NOT_SIGNER);
    cpi_account(1, receiver, WRITABLE, NOT_SIGNER);
    cpi_account(2, holder, READ_ONLY, SIGNER);
    SCRATCH->cpi_data[0] = TOKEN_CLOSE_ACCOUNT;
    return invoke(&TOKEN_PROGRAM, 3, 1, seed_count);
}
