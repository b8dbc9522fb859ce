"""Finding coordinators among strangers, and being found: rendezvous points, a DHT, the local network.

What is found this way is only ever an address at which somebody may carry adverts (`herald`); what an advert
says is the coordinator's own signed word (`neurogrid_marketplace.advert`). All of it runs in a process of its own
(`process`), which `child` starts, watches and ends.
"""
