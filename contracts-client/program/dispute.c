/* Quarrels: dispute and resolve. slash is with the stake it takes, in provider.c. */
#include "settlement.h"

/*
 * dispute: freeze an escrow until the arbiter decides or the arbitration window passes.
 *
 * Accounts
 *   0 party      signer             client's owner; operator, if an operator opened the escrow; or
 *                                   provider's owner
 *   1 config
 *   2 client
 *   3 provider
 *   4 escrow     writable
 * Arguments: none
 * Before: the escrow is open, and claim_until has not passed.
 * After: no release and no early close; vouchers stay redeemable; resolve and slash are possible.
 */
static u64 dispute(void) {
    enum { PARTY, CONFIG, CLIENT, PROVIDER, ESCROW, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, READ_ONLY, &client));
    TRY(load_provider(PROVIDER, CONFIG, READ_ONLY, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    if (check_authority(PARTY, &provider->owner))
        TRY(check_escrow_authority(PARTY, client, escrow));
    REQUIRE(escrow->state == ESCROW_OPEN, ERR_WRONG_STATE);
    REQUIRE(now() <= escrow->claim_until, ERR_WRONG_TIME);

    escrow->state = ESCROW_DISPUTED;
    return 0;
}

/*
 * resolve: the arbiter divides what a disputed escrow still holds.
 *
 * Accounts
 *   0 arbiter       signer
 *   1 config
 *   2 client        writable
 *   3 provider      writable
 *   4 escrow        writable
 *   5 client vault  writable
 *   6 payout        writable        token account of the provider's payout_owner
 *   7 treasury      writable
 *   8 token program
 *   + rent payer    writable        unless it is the arbiter, who is then writable
 * Arguments: to_provider u64
 * Before: the escrow is disputed; to_provider <= max - released.
 * After: to_provider is paid, the rest is unlocked, the escrow is closed, its rent is returned. The
 *   arbiter can give money to nobody but the two parties.
 */
static u64 resolve(void) {
    TRY(expect(PAY_ACCOUNTS, 8));
    TRY(load_payment());
    TRY(check_authority(PAY_FIRST, &SCRATCH->config->arbiter));
    REQUIRE(SCRATCH->escrow->state == ESCROW_DISPUTED, ERR_WRONG_STATE);
    return settle(arg_u64(0), CLOSE);
}
