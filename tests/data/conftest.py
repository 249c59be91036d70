import pytest
from tfds_files import write_all


@pytest.fixture(scope="session")
def manual(tmp_path_factory):
    """Folder with toy files for every TFDS builder."""
    folder = tmp_path_factory.mktemp("manual")
    write_all(folder)
    return folder
