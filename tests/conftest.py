"""Settings of all tests. That this file stands here also puts this folder on the import path: `import reference`."""

from hypothesis import settings

# The same examples in every run, so that a failure can be repeated and says something about the change at hand.
# To look further: pytest --hypothesis-profile explore
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("explore", deadline=None, database=None, max_examples=1000)
settings.load_profile("repeatable")
