/* A market's terms and its administrator: init_config, set_paused, propose_terms, cancel_terms,
 * apply_terms, propose_admin, accept_admin. */
#include "tokens.h"

/* The arguments that init_config and propose_terms share, from the first byte on. */
enum {
    TERMS_FEE_BPS = 0,
    TERMS_SLASH_BPS = 2,
    TERMS_MIN_STAKE = 4,
    TERMS_UNBONDING_WINDOW = 12,
    TERMS_GRACE_WINDOW = 20,
    TERMS_ARBITRATION_WINDOW = 28,
    TERMS_DISPUTE_BOND = 36,
    TERMS_ARBITER = 44,
    TERMS_ARGS_LEN = 76
};

/* Read terms from the arguments and check them; the treasury is the account at `treasury_index`. */
NO_INLINE u64 read_terms(market_terms *terms, u64 treasury_index, const pubkey *mint) {
    /* A token account of this mint exists, so the token program has checked the mint itself. */
    TRY(check_token_account(treasury_index, mint, 0));
    terms->fee_bps = load_u16(SCRATCH->args + TERMS_FEE_BPS);
    terms->slash_bps = load_u16(SCRATCH->args + TERMS_SLASH_BPS);
    terms->reserved0 = 0;
    terms->min_stake = arg_u64(TERMS_MIN_STAKE);
    terms->unbonding_window = arg_i64(TERMS_UNBONDING_WINDOW);
    terms->grace_window = arg_i64(TERMS_GRACE_WINDOW);
    terms->arbitration_window = arg_i64(TERMS_ARBITRATION_WINDOW);
    terms->dispute_bond = arg_u64(TERMS_DISPUTE_BOND);
    terms->arbiter = arg_key(TERMS_ARBITER);
    terms->treasury = *ACCOUNT(treasury_index)->key;
    REQUIRE(terms->fee_bps <= FEE_BPS_MAX && terms->slash_bps <= BPS_ONE, ERR_WRONG_AMOUNT);
    REQUIRE(terms->grace_window >= 1 && terms->grace_window <= WINDOW_MAX, ERR_WRONG_TIME);
    REQUIRE(terms->arbitration_window >= 1 && terms->arbitration_window <= WINDOW_MAX,
            ERR_WRONG_TIME);
    REQUIRE(terms->unbonding_window > terms->grace_window + terms->arbitration_window &&
                terms->unbonding_window <= WINDOW_MAX,
            ERR_WRONG_TIME);
    REQUIRE(!is_zero_key(&terms->arbiter), ERR_INSTRUCTION_DATA);
    return 0;
}

/* The config at `index`, writable, whose admin is the account at `admin_index` and signed. */
ALWAYS_INLINE u64 load_config_of_admin(u64 index, u64 admin_index, config_account **config) {
    TRY(load_config(index, WRITABLE, config));
    return check_authority(admin_index, &(*config)->admin);
}

ALWAYS_INLINE void clear_pending_terms(config_account *config) {
    const market_terms nothing = {0};
    config->pending = nothing;
    config->terms_from = 0;
}

/*
 * init_config: create a market.
 *
 * Accounts
 *   0 creator    signer, writable   pays the rent; part of the address; the first admin
 *   1 config     writable           created
 *   2 mint                          USDC
 *   3 treasury                      token account that receives fees
 *   4 system program
 * Arguments: fee_bps u16, slash_bps u16, min_stake u64, unbonding_window i64, grace_window i64,
 *   arbitration_window i64, dispute_bond u64, arbiter pubkey, domain u64
 * Before: no config of this creator and mint. Fee at most 20 %, slash at most 100 %; every window at
 *   least one second and at most a year; unbonding longer than grace and arbitration together, or
 *   a provider could leave before a dispute about its work is decided.
 * After: the market is open under these terms. The domain and the mint never change.
 */
static u64 init_config(void) {
    enum { CREATOR, CONFIG, MINT, TREASURY, SYSTEM, ACCOUNTS };
    enum { DOMAIN = TERMS_ARGS_LEN, ARGS_LEN = DOMAIN + 8 };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    TRY(check_signer(CREATOR));
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    market_terms terms;
    TRY(read_terms(&terms, TREASURY, ACCOUNT(MINT)->key));

    set_seed(0, "config", 6);
    set_seed(1, ACCOUNT(CREATOR)->key, 32);
    set_seed(2, ACCOUNT(MINT)->key, 32);
    TRY(create_account(CREATOR, CONFIG, 3, sizeof(config_account), SCRATCH->program_id));
    config_account *config = (config_account *)ACCOUNT(CONFIG)->data;
    config->tag = TAG_CONFIG;
    config->version = ACCOUNT_VERSION;
    config->bump = SCRATCH->derived_bump;
    config->creator = *ACCOUNT(CREATOR)->key;
    config->admin = *ACCOUNT(CREATOR)->key;
    config->usdc_mint = *ACCOUNT(MINT)->key;
    config->domain = arg_u64(DOMAIN);
    config->terms = terms;
    return 0;
}

/*
 * set_paused: stop or resume new commitments (stake, deposit, open_escrow, accept_escrow, top_up,
 *   extend).
 *
 * Accounts
 *   0 admin      signer
 *   1 config     writable
 * Arguments: paused u8 (0 or 1)
 * Before: the signer is the config's admin.
 * After: only `paused` differs. No way out of the program looks at it, so pausing locks nobody in.
 */
static u64 set_paused(void) {
    enum { ADMIN, CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 1));
    config_account *config;
    TRY(load_config_of_admin(CONFIG, ADMIN, &config));
    REQUIRE(SCRATCH->args[0] <= 1, ERR_INSTRUCTION_DATA);
    config->paused = SCRATCH->args[0];
    return 0;
}

/*
 * propose_terms: announce other terms for this market.
 *
 * Accounts
 *   0 admin      signer
 *   1 config     writable
 *   2 treasury                      token account that would receive fees
 * Arguments: fee_bps u16, slash_bps u16, min_stake u64, unbonding_window i64, grace_window i64,
 *   arbitration_window i64, dispute_bond u64, arbiter pubkey
 * Before: the signer is the config's admin; the terms are within init_config's limits; the
 *   unbonding window is no shorter than today's, or stake could leave that backs an open escrow.
 * After: nothing but the announcement, which replaces an earlier one. It may be applied after today's
 *   unbonding window: until then every deposit can be withdrawn, all stake can be taken out, and
 *   every escrow that is open now has ended, its dispute included.
 */
static u64 propose_terms(void) {
    enum { ADMIN, CONFIG, TREASURY, ACCOUNTS };
    TRY(expect(ACCOUNTS, TERMS_ARGS_LEN));
    config_account *config;
    TRY(load_config_of_admin(CONFIG, ADMIN, &config));
    market_terms terms;
    TRY(read_terms(&terms, TREASURY, &config->usdc_mint));
    REQUIRE(terms.unbonding_window >= config->terms.unbonding_window, ERR_WRONG_TIME);

    config->pending = terms;
    config->terms_from = now() + config->terms.unbonding_window;
    return 0;
}

/*
 * cancel_terms: take an announcement back.
 *
 * Accounts
 *   0 admin      signer
 *   1 config     writable
 * Arguments: none
 * Before: the signer is the config's admin; terms are proposed.
 * After: nothing is proposed.
 */
static u64 cancel_terms(void) {
    enum { ADMIN, CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    TRY(load_config_of_admin(CONFIG, ADMIN, &config));
    REQUIRE(config->terms_from != 0, ERR_WRONG_STATE);
    clear_pending_terms(config);
    return 0;
}

/*
 * apply_terms: put announced terms into force. Nobody needs to sign.
 *
 * Accounts
 *   0 config     writable
 * Arguments: none
 * Before: terms are proposed, and their notice has passed.
 * After: they are the market's. An open escrow keeps its fee, windows, bond and slashing cap; its
 *   arbiter and treasury are those of the market at the time, and it was opened or extended after
 *   the announcement, because all others have ended.
 */
static u64 apply_terms(void) {
    enum { CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    TRY(load_config(CONFIG, WRITABLE, &config));
    REQUIRE(config->terms_from != 0, ERR_WRONG_STATE);
    REQUIRE(now() >= config->terms_from, ERR_WRONG_TIME);
    config->terms = config->pending;
    clear_pending_terms(config);
    return 0;
}

/*
 * propose_admin: offer the administration to another key.
 *
 * Accounts
 *   0 admin      signer
 *   1 config     writable
 * Arguments: new_admin pubkey (zero: take an offer back)
 * Before: the signer is the config's admin.
 * After: the new key may accept; until it has, nothing changes, so a mistyped key loses nothing.
 */
static u64 propose_admin(void) {
    enum { ADMIN, CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 32));
    config_account *config;
    TRY(load_config_of_admin(CONFIG, ADMIN, &config));
    config->pending_admin = arg_key(0);
    return 0;
}

/*
 * accept_admin: take the offered administration.
 *
 * Accounts
 *   0 new admin  signer
 *   1 config     writable
 * Arguments: none
 * Before: the administration was offered to the signer.
 * After: the signer is the admin, the old admin is nobody. The config's address stays.
 */
static u64 accept_admin(void) {
    enum { NEW_ADMIN, CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    TRY(load_config(CONFIG, WRITABLE, &config));
    REQUIRE(!is_zero_key(&config->pending_admin), ERR_WRONG_STATE);
    TRY(check_authority(NEW_ADMIN, &config->pending_admin));
    const pubkey nobody = {{0}};
    config->admin = *ACCOUNT(NEW_ADMIN)->key;
    config->pending_admin = nobody;
    return 0;
}
