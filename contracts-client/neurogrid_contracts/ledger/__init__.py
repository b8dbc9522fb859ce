"""The local ledger: Solana's JSON-RPC and PubSub in front of a real SVM, durable in SQLite.

A program that speaks to it speaks to devnet and mainnet by changing the URL. ``docs/ledger.md``
lists the methods, the differences from a real cluster, and the limits.

How the files fit together, top down:

``__main__``    the command line
``server``      sockets, the ready file; the composition root
``web``         HTTP; ``faults``, what goes wrong with requests on purpose
``pages``       the status page: ``status`` reads it, ``narration`` puts it into words, ``markup`` escapes
``websocket``   one websocket connection; ``pubsub``, who is told what (both on the event loop)
``rpc``         the method table; ``rpc_*`` hold the methods, ``params`` and ``filters`` read their
                arguments, ``backend`` is what they work on, ``control`` guards some
``owner``       the one thread that everything below runs on
``faucet``      test SOL and USDC
``ledger``      what a transaction goes through: checks, preflight, execution, commit; forks
``events``      what the chain tells of itself
``genesis``     the first state of a new ledger; ``programs``, what is installed at a start
``svm``         LiteSVM and the clock; ``past``, recent blockhashes and older states
``store``       SQLite; ``damage``, whether its files are whole
``transactions``, ``records``, ``parsed``, ``encoding``, ``base58``    bytes and JSON forms; pure
"""
