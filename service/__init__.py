"""REST and the web page over one collection and the model that filled it.

For others to use: `service.app.create_app` and `service.settings.Settings`. They are not imported here, because the
front door imports this package for its commands, and the web framework takes most of a second to load.
"""
