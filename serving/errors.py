"""The one exception tree of the project.

::

    StanceError             anything a person can be told in one line (exit status 1)
    |-- ConfigError         a task file, training configuration or setting is wrong
    |-- DataError           an input file or a row of it cannot be used
    |-- ArtifactError       a model is missing, damaged or of another format
    |-- RegistryError       the model store or the champion pointer cannot answer
    |-- StoreError          the corrections' database cannot answer
    |-- ClusterError        the machines that were to do the work cannot
    `-- Stopped             a signal asked a run to end
"""


class StanceError(Exception):
    """Any failure whose message says what, where, expected, found and the next step."""


class ConfigError(StanceError):
    """A task file, a training configuration or a setting is wrong."""


class DataError(StanceError):
    """An input file, or a row of it, cannot be used."""


class ArtifactError(StanceError):
    """A model artifact is missing, damaged, or of a format that this version cannot read."""


class RegistryError(StanceError):
    """The model store or the champion pointer cannot give what was asked for."""


class StoreError(StanceError):
    """The database of corrections cannot be reached, read or written."""


class ClusterError(StanceError):
    """The machines that were to do the work cannot do it."""


class Stopped(StanceError):
    """A signal asked a run to end before it was complete."""
