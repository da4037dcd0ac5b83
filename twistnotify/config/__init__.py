"""The configuration file as frozen values: text in, `Config` or every problem at once out.

Pure: whoever calls `loader.load` reads the file. Nothing here knows what the settings are used for.
"""
