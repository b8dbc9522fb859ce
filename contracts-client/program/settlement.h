/* Promising more to an escrow, paying out of it and ending it: what its instructions share. */
#pragma once
#include "tokens.h"

/* Accounts of every instruction that pays. Account 0 differs; the rest is the same. Behind them
 * come, found by key and only when needed, the escrow's rent payer and co-signers. */
enum {
    PAY_FIRST,
    PAY_CONFIG,
    PAY_CLIENT,
    PAY_PROVIDER,
    PAY_ESCROW,
    PAY_CLIENT_VAULT,
    PAY_PAYOUT,
    PAY_TREASURY,
    PAY_TOKEN_PROGRAM,
    PAY_ACCOUNTS
};

enum { KEEP_OPEN = 0, CLOSE = 1 };

/* Check the accounts of a paying instruction against each other, and remember the four state
 * accounts in SCRATCH. */
NO_INLINE u64 load_payment(void) {
    scratch *s = SCRATCH;
    TRY(load_config(PAY_CONFIG, READ_ONLY, &s->config));
    TRY(load_client(PAY_CLIENT, PAY_CONFIG, WRITABLE, &s->client));
    TRY(load_provider(PAY_PROVIDER, PAY_CONFIG, WRITABLE, &s->provider));
    TRY(load_escrow(PAY_ESCROW, PAY_CONFIG, &s->escrow));
    TRY(check_link(&s->escrow->client, PAY_CLIENT));
    TRY(check_link(&s->escrow->provider, PAY_PROVIDER));
    TRY(check_link(&s->client->vault, PAY_CLIENT_VAULT));
    TRY(check_token_account(PAY_PAYOUT, &s->config->usdc_mint, &s->provider->payout_owner));
    TRY(check_link(&s->config->terms.treasury, PAY_TREASURY));
    TRY(check_program(PAY_TOKEN_PROGRAM, &TOKEN_PROGRAM));
    TRY(check_writable(PAY_CLIENT_VAULT));
    TRY(check_writable(PAY_PAYOUT));
    return check_writable(PAY_TREASURY);
}

/* The account at `index` signed, and is the client's owner or its unexpired operator. */
ALWAYS_INLINE u64 check_client_authority(u64 index, client_account *client, u64 *is_operator) {
    TRY(check_signer(index));
    *is_operator = 0;
    if (same_key(ACCOUNT(index)->key, &client->owner)) return 0;
    REQUIRE(same_key(ACCOUNT(index)->key, &client->operator), ERR_NOT_AUTHORIZED);
    REQUIRE(now() < client->operator_expiry, ERR_WRONG_TIME);
    *is_operator = 1;
    return 0;
}

/* The same for an escrow that exists: an operator may act only on those that were charged to an
 * operator's limit, or a small limit would open the owner's large escrows. */
ALWAYS_INLINE u64 check_escrow_authority(u64 index, client_account *client, escrow_account *escrow,
                                         u64 *is_operator) {
    TRY(check_client_authority(index, client, is_operator));
    REQUIRE(!*is_operator || escrow->opened_by_operator, ERR_NOT_AUTHORIZED);
    return 0;
}

/* Lock `amount` of the client's unlocked balance. */
ALWAYS_INLINE u64 lock_balance(client_account *client, u64 amount) {
    u64 available = client->balance;
    TRY(take_from(&available, client->locked, ERR_OVERFLOW));
    REQUIRE(amount <= available, ERR_INSUFFICIENT_BALANCE);
    client->locked += amount;
    return 0;
}

/* Charge what an operator promises through an escrow to its limit. A charge to an earlier grant is
 * forgotten: only the grant that was charged gets back what is not paid. */
ALWAYS_INLINE u64 charge_operator(client_account *client, escrow_account *escrow, u64 amount) {
    TRY(take_from(&client->operator_limit, amount, ERR_OVER_LIMIT));
    if (escrow->operator_grant != client->operator_grant) {
        escrow->operator_grant = client->operator_grant;
        escrow->operator_charge = 0;
    }
    return add_to(&escrow->operator_charge, amount);
}

/* The provider ends its escrow early. While it is disputed that takes the client's owner too:
 * otherwise the provider could close the escrow before the arbiter slashes over it. */
ALWAYS_INLINE u64 check_provider_may_close(client_account *client, provider_account *provider,
                                           escrow_account *escrow) {
    REQUIRE(has_signed(&provider->owner), ERR_MISSING_SIGNER);
    REQUIRE(escrow->state != ESCROW_DISPUTED || has_signed(&client->owner), ERR_WRONG_STATE);
    return 0;
}

/* The escrow is disputed, and the arbiter's time for it is not over. */
ALWAYS_INLINE u64 check_undecided(const escrow_account *escrow) {
    REQUIRE(escrow->state == ESCROW_DISPUTED, ERR_WRONG_STATE);
    REQUIRE(now() <= escrow->claim_until + escrow->arbitration_window, ERR_WRONG_TIME);
    return 0;
}

/* The bond of a dispute goes back to who posted it. */
NO_INLINE u64 return_bond(client_account *client, provider_account *provider,
                          escrow_account *escrow) {
    u64 *bonds = escrow->dispute_opener == PARTY_CLIENT ? &client->locked : &provider->bonded;
    TRY(take_from(bonds, escrow->dispute_bond, ERR_OVERFLOW));
    escrow->dispute_bond = 0;
    return 0;
}

/* End an escrow in the books: what it has not released, and the bond of its dispute if nobody lost
 * it, are free again; what an operator promised and did not pay is back in its limit. */
ALWAYS_INLINE u64 end_escrow(client_account *client, provider_account *provider,
                             escrow_account *escrow) {
    u64 rest = escrow->max;
    TRY(take_from(&rest, escrow->released, ERR_OVERFLOW));
    TRY(take_from(&client->locked, rest, ERR_OVERFLOW));
    if (escrow->state == ESCROW_DISPUTED) TRY(return_bond(client, provider, escrow));
    if (escrow->operator_grant == client->operator_grant)
        TRY(add_to(&client->operator_limit, smaller(rest, escrow->operator_charge)));
    client->open_escrows--;
    provider->open_escrows--;
    return 0;
}

/* Close the escrow account; its rent goes to whoever paid it. */
ALWAYS_INLINE u64 return_rent(u64 escrow_index, escrow_account *escrow) {
    account_info *rent_payer = find_account(&escrow->rent_payer);
    REQUIRE(rent_payer, ERR_ACCOUNT_COUNT);
    REQUIRE(rent_payer->is_writable, ERR_NOT_WRITABLE);
    close_account(escrow_index, rent_payer);
    return 0;
}

/* A treasury that was closed or frozen loses its fee; it must not stop a provider's pay. */
ALWAYS_INLINE int treasury_can_receive(void) {
    return check_token_account(PAY_TREASURY, &SCRATCH->config->usdc_mint, 0) == 0;
}

/*
 * Pay `amount` of the loaded escrow, fee to the treasury and the rest to the provider, and with
 * CLOSE end the escrow. All books change before the first call to the token program; lamports
 * move after the last one, because the runtime wants them balanced at every call.
 */
NO_INLINE u64 settle(u64 amount, u64 close) {
    client_account *client = SCRATCH->client;
    provider_account *provider = SCRATCH->provider;
    escrow_account *escrow = SCRATCH->escrow;
    u64 rest = escrow->max;
    TRY(take_from(&rest, escrow->released, ERR_OVERFLOW));
    REQUIRE(amount <= rest, ERR_WRONG_AMOUNT);
    u64 fee = basis_points(amount, escrow->fee_bps);
    if (!treasury_can_receive()) fee = 0;

    escrow->released += amount;
    TRY(take_from(&client->locked, amount, ERR_OVERFLOW));
    TRY(take_from(&client->balance, amount, ERR_OVERFLOW));
    TRY(add_to(&client->spent, amount));
    TRY(add_to(&provider->earned, amount - fee));
    if (close) TRY(end_escrow(client, provider, escrow));

    u64 seed_count = client_seeds(client);
    transfer_from(PAY_CLIENT_VAULT, PAY_CLIENT);
    TRY(transfer_to(PAY_PAYOUT, amount - fee, seed_count));
    TRY(transfer_to(PAY_TREASURY, fee, seed_count));
    return close ? return_rent(PAY_ESCROW, escrow) : 0;
}
