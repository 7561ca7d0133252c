"""REST and the web page over one gallery.

For others: `service.app.create_app`, `service.settings.Settings`, and `service.commands.register`. None of them is
imported here, so that the command line starts without waiting for the web framework.
"""
