"""An account: who acts for it, its money, its machines. And all accounts, for the operator."""

from fastapi import FastAPI

from ...services.billing import Billing
from ...services.directory_of_accounts import DirectoryOfAccounts
from ...services.earnings import Earnings
from ...services.mailboxes import Mailboxes
from ...services.oauth import OAuth
from ...services.oauth_clients import OAuthClients
from ...services.payouts import Payouts
from ...services.profiles import Profiles
from ...services.resources import Resources
from ...services.sign_in import SignIns
from ...services.stakes import Stakes
from ...services.transfers import Transfers
from ...services.wallets import Wallets
from ..consent import add_consent_routes
from ..native.account import add_account_routes
from ..native.api_keys import add_api_key_routes
from ..native.auth import add_auth_routes
from ..native.billing import add_billing_routes
from ..native.earnings import add_earning_routes
from ..native.mailboxes import add_mailbox_routes
from ..native.oauth_clients import add_oauth_client_routes
from ..native.operator import add_operator_routes
from ..native.resources import add_resource_routes
from ..native.stakes import add_stake_routes
from ..native.transfers import add_transfer_routes
from ..native.wallet import add_wallet_routes
from ..oauth import add_oauth_routes
from ..shared import Shared


def add_account(app: FastAPI, shared: Shared) -> None:
    """Add the routes."""
    settings, world, gate, schemas = shared.settings, shared.world, shared.gate, shared.schemas
    balances = shared.balances
    add_account_routes(app, balances, Profiles(world.database), gate, schemas)
    sign_ins = SignIns(world.database, settings.network, settings.public_url)
    add_auth_routes(app, sign_ins, gate, schemas)
    oauth = OAuth(world.database, sign_ins)
    add_oauth_routes(app, oauth, gate, schemas, shared.forms, public_url=settings.public_url)
    add_consent_routes(app, oauth, gate)
    add_oauth_client_routes(app, OAuthClients(world.database), gate, schemas)
    add_operator_routes(app, DirectoryOfAccounts(world.database), gate, schemas)
    transfers = Transfers(world.database, world.wallet_chain, world.transfer_submitted)
    wallets = Wallets(world.database, world.wallet_chain, transfers)
    add_wallet_routes(app, wallets, balances, transfers, gate, schemas)
    add_transfer_routes(app, transfers, gate, schemas)
    add_earning_routes(
        app,
        Earnings(world.database, world.wallet_chain, transfers, world.voucher),
        Payouts(world.wallet_chain, transfers),
        transfers,
        gate,
        schemas,
    )
    add_resource_routes(app, Resources(world.database, world.nodes), gate, schemas)
    add_mailbox_routes(
        app,
        Mailboxes(world.database, world.open_mailbox_stream, world.stopping),
        settings.network,
        gate,
        schemas,
    )
    add_stake_routes(app, Stakes(world.wallet_chain, transfers), gate, schemas)
    add_billing_routes(app, Billing(world.database), balances, wallets, gate, schemas)
    add_api_key_routes(app, shared.api_keys, gate, schemas)
