"""A stand-in for Microsoft Entra ID's token endpoint: see README.md. `python3 -m entra -c config.json` plays it."""
