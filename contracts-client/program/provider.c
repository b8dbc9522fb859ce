/* Providers and their stake: register_provider, stake, request_unstake, rebond, withdraw_stake,
 * close_provider. What a dispute takes is in dispute.c. */
#include "tokens.h"

/* What of the stake no bond holds. Bonded stake can be slashed: then none of what is left is free. */
ALWAYS_INLINE u64 free_stake(const provider_account *provider) {
    return provider->staked - smaller(provider->staked, provider->bonded);
}

/*
 * register_provider: create a provider and its vault.
 *
 * Accounts
 *   0 owner      signer, writable   pays the rent; part of the address
 *   1 config
 *   2 provider   writable           created
 *   3 vault      writable           created
 *   4 mint
 *   5 system program
 *   6 token program
 * Arguments: payout_owner pubkey
 * Before: the owner has no provider account in this market; payout_owner is not zero.
 * After: payments go to token accounts of payout_owner only. It cannot be changed, so a stolen owner
 *   key cannot redirect pay to the thief.
 */
static u64 register_provider(void) {
    enum { OWNER, CONFIG, PROVIDER, VAULT, MINT, SYSTEM, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 32));
    TRY(check_signer(OWNER));
    config_account *config;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    REQUIRE(same_key(ACCOUNT(MINT)->key, &config->usdc_mint), ERR_WRONG_MINT);
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    pubkey payout_owner = arg_key(0);
    REQUIRE(!is_zero_key(&payout_owner), ERR_INSTRUCTION_DATA);

    set_seed(0, "provider", 8);
    set_seed(1, ACCOUNT(CONFIG)->key, 32);
    set_seed(2, ACCOUNT(OWNER)->key, 32);
    TRY(create_account(OWNER, PROVIDER, 3, sizeof(provider_account), SCRATCH->program_id));
    provider_account *provider = (provider_account *)ACCOUNT(PROVIDER)->data;
    provider->tag = TAG_PROVIDER;
    provider->version = ACCOUNT_VERSION;
    provider->bump = SCRATCH->derived_bump;
    provider->config = *ACCOUNT(CONFIG)->key;
    provider->owner = *ACCOUNT(OWNER)->key;
    provider->payout_owner = payout_owner;
    provider->vault = *ACCOUNT(VAULT)->key;
    /* Proves that VAULT is the one vault of PROVIDER, or the whole instruction fails. */
    return create_vault(OWNER, VAULT, PROVIDER, MINT);
}

/*
 * stake: add to a provider's stake. Anybody may add to anybody's.
 *
 * Accounts
 *   0 funder     signer             may move the source's tokens
 *   1 config
 *   2 provider   writable
 *   3 vault      writable
 *   4 source     writable           token account
 *   5 token program
 * Arguments: amount u64
 * Before: not paused; amount > 0.
 * After: the amount moved to the vault, and staked grew by it.
 */
static u64 stake(void) {
    enum { FUNDER, CONFIG, PROVIDER, VAULT, SOURCE, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    TRY(check_signer(FUNDER));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    REQUIRE(!config->paused, ERR_PAUSED);
    TRY(check_link(&provider->vault, VAULT));
    TRY(check_token_account(SOURCE, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(add_to(&provider->staked, amount));
    return transfer_tokens(SOURCE, VAULT, FUNDER, amount, 0);
}

/*
 * request_unstake: start taking stake out.
 *
 * Accounts
 *   0 owner      signer
 *   1 config
 *   2 provider   writable
 * Arguments: amount u64
 * Before: 0 < amount <= staked less the bonds of the provider's own disputes.
 * After: the amount no longer counts as stake for new escrows, stays slashable, and may leave after
 *   the unbonding window. A later request restarts the clock for all of it: one date, no queue.
 */
static u64 request_unstake(void) {
    enum { OWNER, CONFIG, PROVIDER, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    REQUIRE(amount <= free_stake(provider), ERR_INSUFFICIENT_STAKE);
    provider->staked -= amount;
    TRY(add_to(&provider->unbonding, amount));
    provider->unbonding_until = now() + config->terms.unbonding_window;
    return 0;
}

/*
 * rebond: change one's mind about unbonding stake.
 *
 * Accounts
 *   0 owner      signer
 *   1 config
 *   2 provider   writable
 * Arguments: amount u64
 * Before: 0 < amount <= unbonding.
 * After: the amount counts as stake again; the rest leaves when it would have left.
 */
static u64 rebond(void) {
    enum { OWNER, CONFIG, PROVIDER, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(take_from(&provider->unbonding, amount, ERR_WRONG_AMOUNT));
    return add_to(&provider->staked, amount);
}

/*
 * withdraw_stake: take out everything that has unbonded.
 *
 * Accounts
 *   0 owner       signer
 *   1 config
 *   2 provider    writable
 *   3 vault       writable
 *   4 destination writable          token account of anybody's
 *   5 token program
 * Arguments: none
 * Before: unbonding > 0, and its window has passed.
 * After: unbonding is 0, and the destination has it.
 */
static u64 withdraw_stake(void) {
    enum { OWNER, CONFIG, PROVIDER, VAULT, DESTINATION, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    TRY(check_link(&provider->vault, VAULT));
    TRY(check_token_account(DESTINATION, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = provider->unbonding;
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);
    REQUIRE(now() >= provider->unbonding_until, ERR_WRONG_TIME);

    provider->unbonding = 0;
    return transfer_tokens(VAULT, DESTINATION, PROVIDER, amount, provider_seeds(provider));
}

/*
 * close_provider: give a provider account up.
 *
 * Accounts
 *   0 owner       signer, writable  gets the rent of both accounts
 *   1 config
 *   2 provider    writable          closed
 *   3 vault       writable          closed
 *   4 destination writable          token account of anybody's: gets what strangers sent to the vault
 *   5 token program
 * Arguments: none
 * Before: nothing is staked or unbonding, and no escrow of this provider is open.
 * After: both accounts are gone. The wallet may register again, as a provider without history and
 *   with another payout_owner; no escrow or voucher outlives the account, so none can follow it.
 */
static u64 close_provider(void) {
    enum { OWNER, CONFIG, PROVIDER, VAULT, DESTINATION, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    TRY(check_writable(OWNER));
    TRY(check_link(&provider->vault, VAULT));
    TRY(check_token_account(DESTINATION, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    REQUIRE(provider->staked == 0 && provider->unbonding == 0 && provider->open_escrows == 0,
            ERR_NOT_EMPTY);

    TRY(close_vault(VAULT, DESTINATION, OWNER, PROVIDER, provider_seeds(provider)));
    close_account(PROVIDER, ACCOUNT(OWNER));
    return 0;
}
