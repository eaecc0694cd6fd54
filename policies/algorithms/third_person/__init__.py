"""Third-person imitation: from videos in which somebody else's camera follows the teacher."""
